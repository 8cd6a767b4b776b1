//! A report for people, and as rows.

use std::fmt::Write as _;

use crate::query::verify::{Difference, Kind, Report, Sampled};

/// The report for people. The last line says whether the lake equals the table, as far as they were compared.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let counts = &report.counts;
    let lines = [
        ("matched", counts.matched, "the same in the table and in the lake"),
        ("missing", counts.missing, "in the table, not in the lake"),
        ("extra", counts.extra, "in the lake, not in the table"),
        ("different", counts.different, "in both, with different attributes"),
        ("absent", counts.absent, "looked for, and rightly in neither"),
        ("re-checked", counts.rechecked, "differed at first and were read again"),
    ];
    // When everything is compared, only a key that was deleted meanwhile is looked for in vain.
    for (name, count, meaning) in lines.into_iter().filter(|(name, count, _)| *name != "absent" || *count > 0) {
        let _ = writeln!(out, "{name:<10} {count:>12}  {meaning}");
    }
    if let Some(Sampled { of_table, of_lake, .. }) = report.sample {
        let _ = writeln!(out, "{:<10} {of_table:>12}  keys of the table, and {of_lake} of the lake, by lot", "drawn");
    }
    let shown = &report.differing[..report.differing.len().min(report.shown)];
    if !shown.is_empty() {
        out.push('\n');
    }
    for difference in shown {
        let _ = writeln!(out, "{:<10} {}{}", name(difference.kind), key(difference), columns(difference));
    }
    let more = counts.differing() - shown.len() as u64;
    if more > 0 && !shown.is_empty() {
        let _ = writeln!(out, "and {more} more");
    }
    if let Some(snapshot) = &report.repair {
        let _ = writeln!(out, "\nsnapshot {snapshot} of {} keys was asked for, to repair them", report.differing.len());
        if report.unlisted > 0 {
            let _ = writeln!(
                out,
                "{} more keys differ: take a snapshot of the whole table, or repair again when this one is complete",
                report.unlisted
            );
        }
    }
    out.push_str(&verdict(report));
    out.push('\n');
    out
}

/// What is proved.
fn verdict(report: &Report) -> String {
    if !report.equal() {
        return "lake differs from table".to_owned();
    }
    let Some(snapshot) = report.snapshot.as_ref().filter(|_| report.scope.since_snapshot) else {
        return match &report.sample {
            Some(sampled) => format!("lake equals table at the keys that were drawn{}", bound(sampled)),
            None => "lake equals table".to_owned(),
        };
    };
    let changed = format!("lake equals table at the keys that changed since snapshot {snapshot}");
    match &report.sample {
        Some(sampled) => format!("{changed}, and at those that were drawn{}", bound(sampled)),
        None => changed,
    }
}

/// How much a sample says of the rest.
fn bound(sampled: &Sampled) -> String {
    match sampled.at_most_of_a_million {
        Some(0) => ", which are all".to_owned(),
        Some(parts) => format!("; at 95 % confidence it differs at less than {}.{:04} % of all", parts / 10_000, parts % 10_000),
        None => String::new(),
    }
}

/// The differing keys as rows.
pub(super) fn csv(report: &Report) -> String {
    let mut out = String::from("kind,key,columns\n");
    for difference in &report.differing {
        let _ = writeln!(out, "{},\"{}\",{}", name(difference.kind), key(difference).replace('"', "\"\""), difference.columns.join(" "));
    }
    out
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Missing => "missing",
        Kind::Extra => "extra",
        Kind::Different => "different",
    }
}

fn key(difference: &Difference) -> String {
    difference.key.iter().map(|(column, text)| format!("{column}={text}")).collect::<Vec<_>>().join(" ")
}

fn columns(difference: &Difference) -> String {
    if difference.columns.is_empty() { String::new() } else { format!(": {}", difference.columns.join(", ")) }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::query::verify::{Counts, SampleSize, Scope};

    fn differing(kind: Kind, columns: &[&str]) -> Difference {
        let key = BTreeMap::from([("order_id".to_owned(), "o-1".to_owned())]);
        Difference { kind, key, columns: columns.iter().map(|column| (*column).to_owned()).collect() }
    }

    #[test]
    fn an_equal_lake_ends_with_the_sentence() {
        let report = Report { counts: Counts { matched: 12, rechecked: 1, ..Counts::default() }, ..Report::default() };
        insta::assert_snapshot!(text(&report), @r"
        matched              12  the same in the table and in the lake
        missing               0  in the table, not in the lake
        extra                 0  in the lake, not in the table
        different             0  in both, with different attributes
        re-checked            1  differed at first and were read again
        lake equals table
        ");
    }

    #[test]
    fn a_report_on_a_part_says_on_which() {
        let sample = Some(Sampled { of_table: 1000, places: 1000, of_lake: 1200, complete: false, at_most_of_a_million: Some(3000) });
        let since = Report {
            scope: Scope { since_snapshot: true, sample: None },
            snapshot: Some("s-1".into()),
            counts: Counts { matched: 9, absent: 2, ..Counts::default() },
            ..Report::default()
        };
        insta::assert_snapshot!(text(&since), @r"
        matched               9  the same in the table and in the lake
        missing               0  in the table, not in the lake
        extra                 0  in the lake, not in the table
        different             0  in both, with different attributes
        absent                2  looked for, and rightly in neither
        re-checked            0  differed at first and were read again
        lake equals table at the keys that changed since snapshot s-1
        ");
        let both = Report { scope: Scope { since_snapshot: true, sample: Some(SampleSize::Keys(1000)) }, sample, ..since.clone() };
        let end = "lake equals table at the keys that changed since snapshot s-1, and at those that were drawn; at 95 % confidence it differs at less \
                   than 0.3000 % of all\n";
        assert!(text(&both).ends_with(end), "{}", text(&both));
        let drawn = Report { scope: Scope { since_snapshot: false, sample: Some(SampleSize::Keys(1000)) }, ..both };
        assert!(text(&drawn).contains(
            "drawn              1000  keys of the table, and 1200 of the lake, by lot\nlake equals table at the keys that were drawn; "
        ));
        let complete = sample.map(|sampled| Sampled { complete: true, at_most_of_a_million: Some(0), ..sampled });
        assert!(text(&Report { sample: complete, ..drawn }).ends_with("lake equals table at the keys that were drawn, which are all\n"));
    }

    #[test]
    fn differences_are_shown_by_key_and_column() {
        let report = Report {
            counts: Counts { missing: 1, different: 1, rechecked: 2, ..Counts::default() },
            differing: vec![differing(Kind::Different, &["price", "address.zip"]), differing(Kind::Missing, &[])],
            shown: 10,
            ..Report::default()
        };
        let end = "\ndifferent  order_id=o-1: price, address.zip\nmissing    order_id=o-1\nlake differs from table\n";
        assert!(text(&report).ends_with(end), "{}", text(&report));
        let few = text(&Report { shown: 1, ..report });
        assert!(few.ends_with("\ndifferent  order_id=o-1: price, address.zip\nand 1 more\nlake differs from table\n"), "{few}");
    }

    #[test]
    fn a_repair_is_told_with_what_it_leaves_out() {
        let report = Report {
            counts: Counts { missing: 3, ..Counts::default() },
            differing: vec![differing(Kind::Missing, &[])],
            unlisted: 2,
            repair: Some("s-2".into()),
            ..Report::default()
        };
        let text = text(&report);
        assert!(
            text.contains("\nsnapshot s-2 of 1 keys was asked for, to repair them\n2 more keys differ: take a snapshot of the whole table"),
            "{text}"
        );
        assert_eq!(csv(&report), "kind,key,columns\nmissing,\"order_id=o-1\",\n");
    }
}
