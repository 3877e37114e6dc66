//! Where a source outside of the database (Kafka, NATS) is read on: from what is stored, and what is still there.

/// Where a source begins that was never read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// At what comes from now on.
    #[default]
    Latest,
    /// At the oldest message that is still there.
    Earliest,
}

/// What to do when the message at the stored offset is no longer there, or not yet (the topic or stream was made anew).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLost {
    /// Go on at the oldest message that is there.
    #[default]
    Earliest,
    /// Go on at what comes from now on.
    Latest,
    /// Do not go on until a person has decided.
    Stop,
}

/// Whether other partitions of the same topic have been read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// Yes: a partition without an offset is a new one, and everything in it came after the beginning.
    Known,
    /// No.
    Unknown,
}

/// What a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Offset of the oldest message that is still there.
    pub first: i64,
    /// Offset that the next message will have.
    pub end: i64,
}

/// Where to read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// For the first time, here.
    First(i64),
    /// Where it was left.
    Stored(i64),
    /// Somewhere else than where it was left: what was there is lost.
    Moved {
        /// Here.
        to: i64,
    },
    /// Not at all: what was there is lost.
    Stopped,
}

/// Decides where a partition is read on. `stored` is the offset of the next message, as the database has it.
pub fn begin(stored: Option<i64>, topic: Topic, range: Range, start: Start, on_lost: OnLost) -> Begin {
    match (stored, topic, start) {
        (None, Topic::Known, _) | (None, Topic::Unknown, Start::Earliest) => Begin::First(range.first),
        (None, Topic::Unknown, Start::Latest) => Begin::First(range.end),
        (Some(at), ..) if (range.first..=range.end).contains(&at) => Begin::Stored(at),
        (Some(_), ..) => match on_lost {
            OnLost::Earliest => Begin::Moved { to: range.first },
            OnLost::Latest => Begin::Moved { to: range.end },
            OnLost::Stop => Begin::Stopped,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: Range = Range { first: 10, end: 20 };

    #[test]
    fn a_source_that_was_never_read_begins_as_configured_and_a_new_partition_at_its_first_message() {
        let first = |topic, start| begin(None, topic, RANGE, start, OnLost::Stop);
        assert_eq!(first(Topic::Unknown, Start::Latest), Begin::First(20));
        assert_eq!(first(Topic::Unknown, Start::Earliest), Begin::First(10));
        assert_eq!(first(Topic::Known, Start::Latest), Begin::First(10));
    }

    #[test]
    fn it_goes_on_where_it_was_left_while_that_is_there() {
        for at in [10, 15, 20] {
            let on = begin(Some(at), Topic::Known, RANGE, Start::Latest, OnLost::Stop);
            assert_eq!(on, Begin::Stored(at));
        }
    }

    #[test]
    fn what_is_no_longer_there_or_not_yet_is_left_to_the_policy() {
        for at in [0, 9, 21] {
            let lost = |on_lost| begin(Some(at), Topic::Known, RANGE, Start::Latest, on_lost);
            assert_eq!(lost(OnLost::Earliest), Begin::Moved { to: 10 });
            assert_eq!(lost(OnLost::Latest), Begin::Moved { to: 20 });
            assert_eq!(lost(OnLost::Stop), Begin::Stopped);
        }
    }
}
