//! How names and texts are spelled.

/// What Snowflake takes for words of its own in the place of a name (its page "Reserved & limited keywords"), and CHANGES, which may follow a table's
/// name.
const RESERVED: &str = "\
    account all alter and any as between by case cast changes check column connect connection constraint create cross current \
    current_date current_time current_timestamp current_user database default delete distinct drop else end exists false \
    following for foreign from full grant group gscluster having ilike in increment inner insert intersect into is issue join \
    key lateral left like localtime localtimestamp minus natural not null of offset on or order organization primary qualify \
    references regexp replace revoke right rlike row rows sample schema select set some start table tablesample then to \
    trigger true try_cast union unique update using values view when whenever where window with within without work year zone";

/// A name as Snowflake takes it: a reserved one in quotes, where it is in upper case as all that are not.
pub(super) fn identifier(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{}\"", name.to_ascii_uppercase()) }
}

/// The name of a member of an object, which keeps its case.
pub(super) fn member(name: &str) -> String {
    if is_plain(name) { name.to_owned() } else { format!("\"{name}\"") }
}

fn is_plain(name: &str) -> bool {
    !RESERVED.split(' ').any(|reserved| reserved == name) && !name.starts_with(|first: char| first.is_ascii_digit())
}

/// A text in quotes.
pub(super) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_a_word_of_the_language_is_quoted() {
        assert_eq!(identifier("price"), "price");
        assert_eq!(identifier("order"), "\"ORDER\"");
        assert_eq!(identifier("2nd_price"), "\"2ND_PRICE\"");
        assert_eq!(member("order"), "\"order\"");
        assert_eq!(text(r"it's \d"), r"'it''s \\d'");
    }
}
