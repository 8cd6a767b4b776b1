use super::*;

const NOW: i64 = 1_795_000_000;

fn traffic(seed: u64, count: usize, mix: Mix) -> Vec<Operation> {
    let mut traffic = Traffic::new(seed, mix, true);
    (0..count).map(|step| traffic.next(NOW + i64::try_from(step).unwrap() / 100)).collect()
}

fn count(operations: &[Operation], kind: Kind) -> usize {
    operations.iter().filter(|operation| operation.kind == kind).count()
}

#[test]
fn a_seed_determines_every_operation() {
    assert_eq!(traffic(42, 3_000, Mix::default()), traffic(42, 3_000, Mix::default()));
    assert_ne!(traffic(42, 3_000, Mix::default()), traffic(43, 3_000, Mix::default()));
}

#[test]
fn seeds_do_not_share_orders() {
    let ids =
        |seed| traffic(seed, 500, Mix::default()).into_iter().map(|operation| operation.order_id).collect::<std::collections::HashSet<_>>();
    assert!(ids(1).is_disjoint(&ids(2)));
}

#[test]
fn the_mix_holds() {
    let mix = Mix { insert: 50, update: 35, delete: 15 };
    let operations = traffic(7, 20_000, mix);
    let share = |count: usize| count * 100 / operations.len();
    assert!((48..=52).contains(&share(count(&operations, Kind::Insert))));
    assert!((33..=37).contains(&share(count(&operations, Kind::Update))));
    let (deleted, expired) = (count(&operations, Kind::Delete), count(&operations, Kind::Expire));
    assert!((13..=17).contains(&share(deleted + expired)));
    assert!((25..=42).contains(&(expired * 100 / (deleted + expired))), "{expired} of {}", deleted + expired);
}

#[test]
fn without_ttl_nothing_is_left_to_expire() {
    let mut traffic = Traffic::new(7, Mix::default(), false);
    assert!((0..5_000).all(|_| traffic.next(NOW).kind != Kind::Expire));
}

#[test]
fn an_order_s_product_and_price_are_those_of_its_first_line() {
    let mut checked = 0;
    for operation in traffic(3, 4_000, Mix::default()) {
        let Write::Put(item) = operation.write else { continue };
        let first = item["items"].as_l().unwrap()[0].as_m().unwrap();
        let price = first["unit_price"].as_n().unwrap();
        assert!(price.split_once('.').is_some_and(|(_, cents)| cents.len() == 2), "{price}");
        for (of_order, of_line) in [("price", "unit_price"), ("product_id", "product_id"), ("product_name", "name")] {
            assert_eq!(item[of_order], first[of_line], "{of_order}");
        }
        checked += 1;
    }
    assert!(checked > 2_000);
}

#[test]
fn an_order_lives_by_the_rules() {
    let mix = Mix { insert: 30, update: 60, delete: 10 };
    let mut alive: HashMap<String, String> = HashMap::new();
    let mut steps: HashMap<(String, String), u32> = HashMap::new();
    for operation in traffic(11, 30_000, mix) {
        let id = operation.order_id;
        match (operation.kind, operation.write) {
            (Kind::Insert, Write::Put(item)) => {
                assert_eq!(item["order_id"].as_s().unwrap(), &id);
                let status = item["order_status"].as_s().unwrap().clone();
                assert!(alive.insert(id, status).is_none(), "an order is placed once");
            }
            (Kind::Update, Write::Set(set)) => {
                let status = set.iter().find(|(name, _)| *name == "order_status").unwrap().1.as_s().unwrap().clone();
                let before = alive.insert(id.clone(), status.clone()).expect("updates of existing orders only");
                *steps.entry((before, status)).or_default() += 1;
            }
            (Kind::Delete, Write::Delete) => {
                let last = alive.remove(&id).expect("an order is deleted once");
                assert!(!["paid", "shipped"].contains(&last.as_str()), "deleted while {last}");
            }
            (Kind::Expire, Write::Set(set)) => {
                alive.remove(&id).expect("an order expires once");
                let (name, value) = &set[0];
                assert_eq!(*name, "expires_at");
                assert!(value.as_n().unwrap().parse::<i64>().unwrap() < NOW + 300);
            }
            (kind, write) => panic!("{kind:?} does {write:?}"),
        }
    }
    let legal = [
        ("placed", "paid"),
        ("placed", "cancelled"),
        ("paid", "shipped"),
        ("paid", "cancelled"),
        ("shipped", "delivered"),
        ("delivered", "returned"),
    ];
    for (from, to) in legal {
        assert!(steps.remove(&(from.to_owned(), to.to_owned())).is_some_and(|seen| seen > 20), "{from} to {to} is part of the traffic");
    }
    assert!(steps.is_empty(), "illegal steps: {steps:?}");
}

#[test]
fn some_items_are_odd_and_most_are_not() {
    let mut odd: HashMap<&str, usize> = HashMap::new();
    let mut placed = 0;
    for operation in traffic(5, 20_000, Mix::default()) {
        let Write::Put(item) = operation.write else { continue };
        placed += 1;
        for name in ["gift_note", "loyalty", "tags"] {
            *odd.entry(name).or_default() += usize::from(item.contains_key(name));
        }
        *odd.entry("quantity").or_default() += usize::from(item["quantity"].is_s());
    }
    for (name, least, most) in [("gift_note", 20, 40), ("loyalty", 12, 28), ("tags", 12, 28), ("quantity", 1, 8)] {
        let per_mille = odd[name] * 1000 / placed;
        assert!((least..=most).contains(&per_mille), "{name}: {per_mille} per mille");
    }
}

#[test]
fn a_mix_reads_what_it_prints() {
    let mix = Mix { insert: 5, update: 90, delete: 0 };
    assert_eq!(mix.to_string().parse(), Ok(mix));
    for text in ["", "insert", "insert=0,update=1", "insert=1,upsert=2", "insert=-1", "insert=99999999"] {
        assert!(text.parse::<Mix>().is_err(), "{text}");
    }
}

#[test]
fn memory_is_bounded_however_many_orders_are_placed() {
    let mut traffic = Traffic::new(1, Mix { insert: 1, update: 0, delete: 0 }, false);
    for _ in 0..REMEMBERED + 500 {
        traffic.next(NOW);
    }
    assert_eq!(traffic.open.len(), REMEMBERED);
}
