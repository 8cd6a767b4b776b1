//! What the views must say, computed from the shop's orders without any SQL.

use std::collections::{BTreeMap, BTreeSet};

use headwater::event::Operation;
use jiff::{Timestamp, ToSpan as _, civil::Date, tz::TimeZone};

use crate::deploy::shop::{Order, Shop};

/// Orders by id, and whether they are there no longer because they expired.
pub(super) type Book = BTreeMap<String, (Order, bool)>;
/// The orders of each day and category.
pub(super) type Days = BTreeMap<(Date, String), Vec<Order>>;

/// The orders of the table, and those whose last removal, as far as it is known, was an expiry.
pub(super) fn order_book(shop: &Shop) -> Book {
    let removals = shop.landed().filter(|change| change.operation() == Operation::Remove);
    let last: BTreeMap<_, _> = removals.map(|change| (change.id.clone(), change)).collect();
    let expired = last.into_iter().filter(|(id, change)| change.ttl && !shop.table.contains_key(id));
    let expired = expired.map(|(id, change)| (id, (change.old.clone().unwrap(), true)));
    expired.chain(shop.table.iter().map(|(id, order)| (id.clone(), (order.clone(), false)))).collect()
}

pub(super) fn book_rows(book: &Book) -> Vec<String> {
    let row = |(id, (order, expired)): (&String, &(Order, bool))| {
        format!("{id},{},{},{expired}", order.status, order.amount().map(money).unwrap_or_default())
    };
    book.iter().map(row).collect()
}

pub(super) fn daily_revenue(book: &Book) -> Days {
    let mut days = Days::new();
    for order in standing(book) {
        let category = order.category().unwrap_or("(none)").to_owned();
        days.entry((day(order), category)).or_default().push(order.clone());
    }
    days
}

pub(super) fn day_rows(days: &Days) -> Vec<String> {
    let row = |((day, category), orders): (&(Date, String), &Vec<Order>)| {
        let amounts: Vec<i128> = orders.iter().filter_map(Order::amount).collect();
        let average = (!amounts.is_empty()).then(|| money(ratio(amounts.iter().sum(), amounts.len())));
        let customers: BTreeSet<&str> = orders.iter().map(|order| order.customer.as_str()).collect();
        format!(
            "{day},{},{},{},{},{},{}",
            quoted(category),
            money(amounts.iter().sum()),
            orders.len(),
            average.unwrap_or_default(),
            customers.len(),
            orders.len() - amounts.len()
        )
    };
    days.iter().map(row).collect()
}

pub(super) fn cumulative_revenue(days: &Days) -> Vec<String> {
    let until = |last: Date, category: Option<&str>| {
        let counted = days.iter().filter(|((day, of), _)| *day <= last && category.is_none_or(|category| category == of));
        counted.flat_map(|(_, orders)| orders).collect::<Vec<_>>()
    };
    let row = |((day, category), orders): (&(Date, String), &Vec<Order>)| {
        let so_far = until(*day, Some(category));
        let all = money(revenue(until(*day, None)));
        format!("{day},{},{},{},{},{all}", quoted(category), money(revenue(orders)), money(revenue(so_far.iter().copied())), so_far.len())
    };
    days.iter().map(row).collect()
}

pub(super) fn funnel(shop: &Shop) -> Vec<String> {
    let step = |status: &str| ["paid", "shipped", "delivered", "returned"].iter().position(|step| *step == status).map_or(0, |at| at + 1);
    let mut lives: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
    let changes = shop.landed().flat_map(|change| [&change.old, &change.new].map(|order| order.as_ref().map(|order| (&change.id, order))));
    for (id, order) in changes.flatten().chain(&shop.table) {
        let life = lives.entry(id).or_default();
        *life = (life.0.max(step(order.status)), life.1 || order.status == "cancelled");
    }
    let reached: Vec<usize> = (0..5).map(|step| lives.values().filter(|life| life.0 >= step).count()).collect();
    let row = |(step, status): (usize, &str)| {
        let percent = |of: usize| if of == 0 { String::new() } else { money(ratio(10_000 * reached[step] as i128, of)) };
        let previous = if step == 0 { String::new() } else { percent(reached[step - 1]) };
        let cancelled = lives.values().filter(|life| **life == (step, true)).count();
        format!("{},{status},{},{},{previous},{cancelled}", step + 1, reached[step], percent(reached[0]))
    };
    ["placed", "paid", "shipped", "delivered", "returned"].into_iter().enumerate().map(row).collect()
}

pub(super) fn price_changes(shop: &Shop) -> Vec<String> {
    let mut prices: BTreeMap<usize, i64> = BTreeMap::new();
    let mut rows = Vec::new();
    for change in shop.landed() {
        let Some(order) = &change.new else { continue };
        if change.old.as_ref().is_some_and(|old| old.cents == order.cents) {
            continue;
        }
        let Some(before) = prices.insert(order.product, order.cents).filter(|before| *before != order.cents) else { continue };
        let difference = i128::from(order.cents - before);
        let percent = difference.signum() * ratio(10_000 * difference.abs(), usize::try_from(before).unwrap());
        let [before, now] = [before, order.cents].map(|cents| money(cents.into()));
        let product = order.product;
        rows.push(format!(
            "P-{product},Product {product},{before},{now},{},{},{},e-{}",
            money(difference),
            money(percent),
            change.id,
            change.number
        ));
    }
    rows
}

pub(super) fn cohorts(book: &Book) -> Vec<String> {
    let month = |order: &Order| day(order).first_of_month();
    let mut firsts: BTreeMap<&str, Date> = BTreeMap::new();
    for order in standing(book) {
        let first = firsts.entry(&order.customer).or_insert_with(|| month(order));
        *first = month(order).min(*first);
    }
    let mut cohorts: BTreeMap<(Date, i32), Vec<&Order>> = BTreeMap::new();
    for order in standing(book) {
        let cohort = firsts[order.customer.as_str()];
        let months = |date: Date| 12 * i32::from(date.year()) + i32::from(date.month());
        cohorts.entry((cohort, months(month(order)) - months(cohort))).or_default().push(order);
    }
    let row = |((cohort, months), orders): (&(Date, i32), &Vec<&Order>)| {
        let size = firsts.values().filter(|first| *first == cohort).count();
        let customers = orders.iter().map(|order| order.customer.as_str()).collect::<BTreeSet<_>>().len();
        let retention = money(ratio(10_000 * customers as i128, size));
        format!("{cohort},{size},{months},{customers},{retention},{},{}", orders.len(), money(revenue(orders.iter().copied())))
    };
    cohorts.iter().map(row).collect()
}

pub(super) fn moving_average(days: &Days) -> Vec<String> {
    let mut by_day: BTreeMap<Date, Vec<&Order>> = BTreeMap::new();
    for ((day, _), orders) in days {
        by_day.entry(*day).or_default().extend(orders);
    }
    let first = *by_day.keys().next().unwrap();
    let row = |(day, orders): (&Date, &Vec<&Order>)| {
        let since = *day - 6.days();
        let week = by_day.range(since..=*day).flat_map(|(_, orders)| orders.iter().copied());
        let days = usize::try_from((*day - first).get_days() + 1).unwrap().min(7);
        format!("{day},{},{},{days},{}", orders.len(), money(revenue(orders.iter().copied())), money(ratio(revenue(week), days)))
    };
    by_day.iter().map(row).collect()
}

/// The orders that revenue counts.
fn standing(book: &Book) -> impl Iterator<Item = &Order> {
    book.values().map(|(order, _)| order).filter(|order| !["cancelled", "returned"].contains(&order.status))
}

fn day(order: &Order) -> Date {
    Timestamp::from_second(order.created).unwrap().to_zoned(TimeZone::UTC).date()
}

fn revenue<'o>(orders: impl IntoIterator<Item = &'o Order>) -> i128 {
    orders.into_iter().filter_map(Order::amount).sum()
}

/// A quotient that is not negative, rounded half up.
fn ratio(dividend: i128, divisor: usize) -> i128 {
    let divisor = i128::try_from(divisor).unwrap();
    (2 * dividend + divisor) / (2 * divisor)
}

/// Hundredths as text.
fn money(hundredths: i128) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", hundredths.abs() / 100, hundredths.abs() % 100)
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}
