//! A condition as a tree of parts, each with a number by which it finds its memory.

use std::sync::Arc;

use super::term::{Declined, Term};
use super::{Field, Predicate};

/// A part of a condition, with those below it.
#[derive(Debug)]
pub(super) struct Node {
    /// Its number in preorder: those below it are `id + 1 .. end`.
    pub(super) id: u16,
    /// One past the last number below it.
    pub(super) end: u16,
    pub(super) kind: Kind,
}

/// What a part does with the matches of those below it.
#[derive(Debug)]
pub(super) enum Kind {
    /// Single events; the number of the term.
    Term(usize),
    /// One of them.
    Any(Vec<Node>),
    /// The latest of each.
    All(Vec<Node>),
    /// One after the other.
    Sequence(Vec<Node>),
    /// So many.
    Count {
        of: Box<Node>,
        n: u32,
        /// Of which only the latest with each value of a field counts.
        distinct: Option<Field>,
    },
    /// As many as add up to an amount.
    Sum { of: Box<Node>, field: Field, at_least: f64 },
    /// Those that a Python function lets count.
    Python { of: Box<Node>, predicate: Arc<Predicate> },
    /// Close enough together; microseconds.
    Within { of: Box<Node>, window: i64 },
    /// None for a time; microseconds.
    Absence {
        of: Box<Node>,
        span: i64,
        /// In a sequence the time begins with the step before, else at the start and after each match.
        begins: Begins,
    },
    /// The last one before a time of quiet; microseconds.
    Debounce { of: Box<Node>, quiet: i64 },
}

/// From when an absence is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// When the trigger begins to watch, and after every match.
    AtOnce,
    /// When the step before it in the sequence is fulfilled.
    AfterStep,
}

impl Node {
    pub(super) fn children(&self) -> &[Node] {
        match &self.kind {
            Kind::Term(_) => &[],
            Kind::Any(children) | Kind::All(children) | Kind::Sequence(children) => children,
            Kind::Count { of, .. }
            | Kind::Sum { of, .. }
            | Kind::Python { of, .. }
            | Kind::Within { of, .. }
            | Kind::Absence { of, .. }
            | Kind::Debounce { of, .. } => std::slice::from_ref(of),
        }
    }

    /// Visits this part and all below it.
    pub(super) fn each<'a>(&'a self, visit: &mut dyn FnMut(&'a Node)) {
        visit(self);
        for child in self.children() {
            child.each(visit);
        }
    }

    /// The numbers of the terms below.
    pub(super) fn terms(&self) -> Vec<usize> {
        let mut terms = Vec::new();
        self.each(&mut |node| {
            if let Kind::Term(number) = node.kind {
                terms.push(number);
            }
        });
        terms
    }

    /// Whether it is a term, or one of several terms: what has one event as its match.
    pub(super) fn is_single(&self) -> bool {
        match &self.kind {
            Kind::Term(_) => true,
            Kind::Any(children) => children.iter().all(Node::is_single),
            _ => false,
        }
    }

    /// Whether what it was fulfilled by can cease to count.
    pub(super) fn revokes(&self, terms: &[Term]) -> bool {
        match &self.kind {
            Kind::Term(number) => terms[*number].declined == Declined::Forgets,
            Kind::Absence { .. } => true,
            Kind::Any(children) => children.iter().any(|child| child.revokes(terms)),
            Kind::Within { of, .. } | Kind::Python { of, .. } => of.revokes(terms),
            _ => false,
        }
    }

    /// The absence that this is, through windows around it, and its time.
    pub(super) fn absence(&self) -> Option<(&Node, i64)> {
        match &self.kind {
            Kind::Absence { span, .. } => Some((self, *span)),
            Kind::Within { of, .. } => of.absence(),
            _ => None,
        }
    }

    /// Whether an absence below it is counted from the start.
    pub(super) fn awaits_absence(&self) -> bool {
        match &self.kind {
            Kind::Absence { begins: Begins::AtOnce, .. } => true,
            _ => self.children().iter().any(Node::awaits_absence),
        }
    }
}
