use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const PATIENCE: Duration = Duration::from_secs(1);
const ROOM: usize = 1000;

fn ledger(writers: usize) -> (Ledger, Vec<Id>) {
    let mut ledger = Ledger::new(ROOM);
    let ids = (0..writers).map(|_| ledger.open()).collect();
    (ledger, ids)
}

#[test]
fn half_of_the_room_is_shared_out_and_the_rest_is_lent() {
    let (mut ledger, ids) = ledger(5);
    assert_eq!((ledger.part(), ledger.pool()), (100, 500));
    assert!(ledger.admit(ids[0], 600, None), "its part and all of the pool");
    assert!(!ledger.admit(ids[1], 101, None));
    for id in &ids[1..] {
        assert!(ledger.admit(*id, 100, None), "its part is its own");
    }
    assert_eq!(ledger.total(), ROOM);
}

#[test]
fn a_newcomer_waits_while_others_hold_what_is_its_part_now() {
    let (mut ledger, ids) = ledger(1);
    assert!(ledger.admit(ids[0], ROOM, None));
    let newcomer = ledger.open();
    assert!(!ledger.admit(newcomer, 1, None));
    ledger.set(ids[0], ROOM - 1);
    assert!(ledger.admit(newcomer, 1, None));
}

#[test]
fn the_pool_is_lent_in_the_order_of_asking() {
    let (mut ledger, ids) = ledger(5);
    assert!(ledger.admit(ids[0], 600, None));
    let early = ledger.line_up(400);
    assert!(!ledger.admit(ids[1], 400, Some(early)));
    ledger.set(ids[0], 400);
    assert!(!ledger.admit(ids[2], 200, None), "it would fit, and somebody waits who needs more");
    assert!(ledger.admit(ids[3], 100, None), "a part is not lent");
    ledger.set(ids[0], 100);
    assert!(ledger.admit(ids[1], 400, Some(early)));
    ledger.leave(early);
    assert!(ledger.admit(ids[2], 200, None));
}

#[test]
fn everybody_lets_a_change_pass_that_needs_all_of_the_room_unless_somebody_is_blocked() {
    let (mut ledger, ids) = ledger(5);
    assert!(ledger.admit(ids[0], 50, None));
    let ticket = ledger.line_up(2 * ROOM);
    assert!(!ledger.admit(ids[1], 2 * ROOM, Some(ticket)));
    assert!(!ledger.admit(ids[2], 50, None));
    ledger.set_blocked(ids[0], true);
    assert!(ledger.admit(ids[2], 50, None), "nobody waits for who is blocked");
    ledger.set(ids[2], 0);
    ledger.set(ids[0], 0);
    assert!(ledger.admit(ids[1], 2 * ROOM, Some(ticket)));
    ledger.leave(ticket);
    assert!(!ledger.admit(ids[2], 1, None));
}

#[test]
fn only_who_can_help_is_asked_and_one_after_the_other() {
    let now = Instant::now();
    let (mut ledger, ids) = ledger(5);
    for (id, bytes) in [(0, 90), (1, 250), (2, 350), (3, 100)] {
        assert!(ledger.admit(ids[id], bytes, None));
    }
    let ticket = Some(ledger.line_up(400));
    let remedy = |ledger: &Ledger, now| ledger.remedy(ids[4], 400, ticket, now, PATIENCE);
    assert_eq!(remedy(&ledger, now), Remedy::Ask(ids[2]));
    ledger.ask(ids[2], now);
    assert_eq!(remedy(&ledger, now), Remedy::Wait, "what it gives is enough");
    assert_eq!(remedy(&ledger, now + PATIENCE), Remedy::Ask(ids[1]), "it does not come");
    ledger.set_blocked(ids[2], true);
    assert_eq!(remedy(&ledger, now), Remedy::Ask(ids[1]));
    ledger.set_blocked(ids[1], true);
    assert_eq!(remedy(&ledger, now), Remedy::Wait, "the others hold nothing of the pool");
    assert_eq!(ledger.remedy(ids[3], 400, None, now, PATIENCE), Remedy::Give, "nobody can help it, so it helps itself to its part");
}

#[derive(Debug, Clone)]
enum Step {
    Open,
    Close(Index),
    Take(Index, usize),
    /// What a writer holds turns out to be less than it was admitted.
    Correct(Index, Index),
    Give(Index),
    Block(Index, bool),
}

fn steps(largest: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        1 => Just(Step::Open),
        1 => any::<Index>().prop_map(Step::Close),
        9 => (any::<Index>(), prop_oneof![8 => 1..60_usize, 2 => 1..=largest]).prop_map(|(who, need)| Step::Take(who, need)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(who, less)| Step::Correct(who, less)),
        3 => any::<Index>().prop_map(Step::Give),
        2 => (any::<Index>(), any::<bool>()).prop_map(|(who, blocked)| Step::Block(who, blocked)),
    ];
    vec(step, 0..200)
}

/// Does a step. Returns the writer that asked for so much and was refused.
fn play(ledger: &mut Ledger, writers: &mut Vec<Id>, step: &Step) -> Option<(Id, usize)> {
    match step {
        Step::Open => writers.push(ledger.open()),
        Step::Close(who) if writers.len() > 1 => ledger.close(writers.remove(who.index(writers.len()))),
        Step::Close(_) => {}
        Step::Take(who, need) => {
            let id = *who.get(writers);
            return (!ledger.admit(id, *need, None)).then_some((id, *need));
        }
        Step::Correct(who, less) => {
            let id = *who.get(writers);
            let less = less.index(ledger.held_by(id) + 1);
            ledger.set(id, less);
        }
        Step::Give(who) => {
            ledger.set(*who.get(writers), 0);
        }
        Step::Block(who, blocked) => {
            ledger.set_blocked(*who.get(writers), *blocked);
        }
    }
    None
}

proptest! {
    #[test]
    fn what_is_held_fits_the_room_unless_it_is_one_change_alone(steps in steps(2 * ROOM)) {
        let (mut ledger, mut writers) = ledger(2);
        for step in steps {
            play(&mut ledger, &mut writers, &step);
            let held: Vec<usize> = writers.iter().map(|id| ledger.held_by(*id)).filter(|bytes| *bytes > 0).collect();
            prop_assert_eq!(ledger.total(), held.iter().sum::<usize>());
            prop_assert!(ledger.total() <= ROOM || held.len() == 1);
            let stuck = ledger.accounts.values().filter(|account| account.blocked).map(|account| ledger.beyond_part(account.bytes));
            prop_assert_eq!(ledger.stuck, stuck.sum::<usize>());
            prop_assert_eq!(ledger.pooled, held.iter().map(|bytes| ledger.beyond_part(*bytes)).sum::<usize>());
        }
    }

    #[test]
    fn a_steady_writer_is_never_refused_its_part(steps in steps(ROOM / 2), writers in 1..20_usize) {
        let (mut ledger, mut writers) = ledger(writers);
        for step in steps.iter().filter(|step| !matches!(step, Step::Open | Step::Close(_))) {
            if let Some((id, need)) = play(&mut ledger, &mut writers, step) {
                prop_assert!(ledger.held_by(id) + need > ledger.part());
            }
        }
    }

    #[test]
    fn while_nobody_is_blocked_everybody_gets_through(steps in steps(2 * ROOM), needs in vec((any::<Index>(), 1..2 * ROOM), 1..30)) {
        let (mut ledger, mut writers) = ledger(2);
        for step in steps.iter().filter(|step| !matches!(step, Step::Block(..))) {
            play(&mut ledger, &mut writers, step);
        }
        // Each writer waits for one change at most; the others are idle, and answer.
        let mut line: Vec<(Id, usize, Ticket)> = Vec::new();
        for (who, need) in needs {
            let id = *who.get(&writers);
            if line.iter().all(|(waiting, ..)| *waiting != id) {
                line.push((id, need, ledger.line_up(need)));
            }
        }
        let mut now = Instant::now();
        let mut rounds = 0;
        while !line.is_empty() {
            rounds += 1;
            prop_assert!(rounds < 200, "{:?} wait", line);
            line.retain(|(id, need, ticket)| {
                let admitted = ledger.admit(*id, *need, Some(*ticket));
                if admitted {
                    ledger.leave(*ticket);
                } else {
                    match ledger.remedy(*id, *need, Some(*ticket), now, PATIENCE) {
                        Remedy::Ask(other) => ledger.ask(other, now),
                        Remedy::Give => { ledger.set(*id, 0); }
                        Remedy::Wait => {}
                    }
                }
                !admitted
            });
            for id in writers.iter().filter(|id| ledger.is_asked(**id)).copied().collect::<Vec<_>>() {
                ledger.set(id, 0);
            }
            now += PATIENCE / 4;
            if rounds % 4 == 0 {
                // Who holds something gives it when its patience is over.
                for (id, ..) in &line {
                    ledger.set(*id, 0);
                }
            }
        }
    }
}
