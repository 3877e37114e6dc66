//! As much of a judgement as one transaction should write.
//!
//! Whoever judges a run with very many task instances writes the first part of what was decided and judges it again: the
//! rows are then as they would be if the others had not been ready yet, so nothing else has to be remembered.

use super::{Decision, Examination, Expansion, Outcome};

/// Whether all of a judgement is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Portion {
    /// It is as it was.
    Whole,
    /// Its end was left out; the run is to be judged again at once.
    First,
}

/// A run is decided about in at most about so many portions.
const PORTIONS: usize = 8;

/// How many rows of a run with `rows` task instances are changed at once where `most` may be: of a very large run more, because
/// each portion costs the reading of the whole run, and with a fixed number all of them would cost the square of its size.
pub fn changes_at_once(most: usize, rows: usize) -> usize {
    most.max(rows / PORTIONS)
}

impl Examination {
    /// Leaves out what goes beyond `most` changes of rows, and then the outcome too. The steps of one expansion stay together, so
    /// that it may go beyond.
    pub fn cut(&mut self, most: usize) -> Portion {
        let mut changes = 0_usize;
        let end = self.decisions.iter().position(|decision| {
            let full = changes >= most;
            changes = changes.saturating_add(rows_of(decision));
            full && !belongs_to_expansion(decision)
        });
        let Some(end) = end else { return Portion::Whole };
        self.decisions.truncate(end);
        self.outcome = Outcome::StillRunning { next_look: None };
        Portion::First
    }
}

fn rows_of(decision: &Decision) -> usize {
    match decision {
        Decision::Expand(Expansion::Add { map_indexes, .. }) => map_indexes.len(),
        _ => 1,
    }
}

fn belongs_to_expansion(decision: &Decision) -> bool {
    matches!(decision, Decision::Expand(_) | Decision::ClearReferences { .. })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::MapIndex;
    use crate::run::{TiRef, TryNumber};

    fn ti(map_index: i32) -> TiRef {
        TiRef { task_id: "t".into(), map_index: MapIndex(map_index), id: None }
    }

    fn start(map_index: i32) -> Decision {
        Decision::Schedule { ti: ti(map_index), from: None, try_number: TryNumber::Increment }
    }

    fn expansion(copies: i32) -> [Decision; 3] {
        [
            Decision::ClearReferences { ti: ti(-1) },
            Decision::Expand(Expansion::Rename { ti: ti(-1), from: None }),
            Decision::Expand(Expansion::Add {
                task_id: "t".into(),
                map_indexes: (1..copies).map(MapIndex).collect(),
                state: None,
            }),
        ]
    }

    fn judged(decisions: impl IntoIterator<Item = Decision>) -> Examination {
        Examination {
            decisions: decisions.into_iter().collect(),
            outcome: Outcome::Success { last_ti: None },
        }
    }

    #[test]
    fn a_run_takes_no_more_portions_the_larger_it_is() {
        assert_eq!(changes_at_once(2_000, 10_000), 2_000);
        assert_eq!(changes_at_once(2_000, 80_000), 10_000);
    }

    #[test]
    fn a_judgement_that_fits_keeps_its_outcome() {
        let mut examination = judged((0..3).map(start));
        let before = examination.clone();
        assert_eq!(examination.cut(3), Portion::Whole);
        assert_eq!(examination, before);
    }

    #[test]
    fn what_goes_beyond_is_left_out_and_the_run_goes_on() {
        let mut examination = judged((0..4).map(start));
        assert_eq!(examination.cut(3), Portion::First);
        assert_eq!(examination.decisions, (0..3).map(start).collect::<Vec<_>>());
        assert_eq!(examination.outcome, Outcome::StillRunning { next_look: None });
    }

    #[test]
    fn an_expansion_is_not_cut_in_two() {
        let mut examination = judged([start(7)].into_iter().chain(expansion(9)).chain([start(0)]));
        assert_eq!(examination.cut(2), Portion::First);
        assert_eq!(examination.decisions.len(), 4);
    }

    #[test]
    fn the_copies_of_an_expansion_count() {
        let mut examination = judged(expansion(9).into_iter().chain((0..9).map(start)));
        assert_eq!(examination.cut(10), Portion::First);
        assert_eq!(examination.decisions.len(), 3);
    }
}
