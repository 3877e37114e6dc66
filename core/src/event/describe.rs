//! A condition in words, and what it still waits for.

use std::collections::BTreeMap;

use super::memory::Memory;
use super::node::{Kind, Node};
use super::term::Term;

fn seconds(micros: i64) -> String {
    format!("{} s", micros as f64 / 1e6)
}

/// `a or b`, in brackets inside something larger.
fn joined(parts: Vec<String>, word: &str, is_inner: bool) -> String {
    let single = parts.len() < 2;
    let text = parts.join(word);
    if is_inner && !single { format!("({text})") } else { text }
}

/// The condition in words.
pub(super) fn describe(node: &Node, terms: &[Term]) -> String {
    words(node, terms, false)
}

fn words(node: &Node, terms: &[Term], is_inner: bool) -> String {
    let all = |children: &[Node]| children.iter().map(|child| words(child, terms, true)).collect::<Vec<_>>();
    let inner = |of: &Node| words(of, terms, true);
    match &node.kind {
        Kind::Term(number) => terms[*number].to_string(),
        Kind::Any(children) => joined(all(children), " or ", is_inner),
        Kind::All(children) => joined(all(children), " and ", is_inner),
        Kind::Sequence(steps) => joined(all(steps), ", then ", is_inner),
        Kind::Count { of, n, distinct: None } => format!("{n} × {}", inner(of)),
        Kind::Count { of, n, distinct: Some(field) } => format!("{n} × {} of different `{field}`", inner(of)),
        Kind::Sum { of, field, at_least } => format!("{} until `{field}` adds up to {at_least}", inner(of)),
        Kind::Python { of, predicate } => format!("{} that `{}` accepts", inner(of), predicate.function),
        Kind::Within { of, window } => format!("{} within {}", inner(of), seconds(*window)),
        Kind::Absence { of, span, .. } => format!("no {} for {}", inner(of), seconds(*span)),
        Kind::Debounce { of, quiet } => format!("{} and then quiet for {}", inner(of), seconds(*quiet)),
    }
}

/// What the condition still waits for.
pub(super) fn missing(node: &Node, terms: &[Term], memory: &BTreeMap<u16, Memory>) -> String {
    let below = |node: &Node| missing(node, terms, memory);
    let own = memory.get(&node.id).cloned().unwrap_or_default();
    match &node.kind {
        Kind::Any(children) => joined(children.iter().map(below).collect(), " or ", true),
        Kind::All(children) => {
            let open = children.iter().enumerate().filter(|(index, _)| own.get(*index).is_none());
            joined(open.map(|(_, child)| below(child)).collect(), " and ", false)
        }
        Kind::Sequence(steps) => {
            let done = own.held.iter().map(|held| usize::from(held.child) + 1).max().unwrap_or(0);
            steps.get(done).map_or_else(String::new, below)
        }
        Kind::Count { of, n, .. } => {
            format!("{} × {}", u64::from(*n).saturating_sub(own.count), words(of, terms, true))
        }
        Kind::Sum { of, field, at_least } => {
            format!("{}, `{field}` has come to {} of {at_least}", words(of, terms, true), own.total)
        }
        Kind::Within { of, window } => format!("{} within {}", below(of), seconds(*window)),
        Kind::Debounce { quiet, .. } if !own.held.is_empty() => format!("{} of quiet", seconds(*quiet)),
        _ => words(node, terms, false),
    }
}
