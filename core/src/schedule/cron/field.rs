//! One field of an expression, expanded.

/// The values of a field. A star among them wins, as it does in croniter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) star: bool,
    /// `L`: the last day of the month.
    pub(super) last: bool,
    /// Ascending, without repetition.
    pub(super) values: Vec<i64>,
}

impl Field {
    pub(super) const STAR: Field = Field { star: true, last: false, values: Vec::new() };
    pub(super) const ANY: &'static Field = &Field::STAR;

    /// How many different entries there are, the star and `L` among them.
    pub(super) fn len(&self) -> usize {
        self.values.len() + usize::from(self.star) + usize::from(self.last)
    }

    pub(super) fn is_only_star(&self) -> bool {
        self.star && self.values.is_empty() && !self.last
    }

    /// How far forward the next value is from `x`, wrapping at `range`; no wrap and no answer without one.
    pub(super) fn forward(&self, x: i64, range: Option<i64>) -> Option<i64> {
        let found = self.values.iter().copied().find(|&v| range.is_none_or(|range| v <= range) && v >= x);
        match (found, range) {
            (Some(value), _) => Some(value - x),
            // `L` sorts behind every number and stands for the range itself.
            (None, Some(range)) if self.last => Some(range - x),
            (None, Some(range)) => self.values.first().map(|first| first - x + range),
            (None, None) => None,
        }
    }

    /// How far back the previous value is from `x` (at most 0), wrapping at `range`.
    pub(super) fn backward(&self, x: i64, range: Option<i64>) -> Option<i64> {
        if let Some(value) = self.values.iter().rev().copied().find(|&v| v <= x) {
            return Some(value - x);
        }
        if self.last {
            return Some(-x);
        }
        let range = range?;
        let largest = *self.values.last()?;
        let candidate = self.values.iter().rev().copied().find(|&v| v <= range).unwrap_or(largest);
        Some(if candidate > range { -range } else { candidate - x - range })
    }
}
