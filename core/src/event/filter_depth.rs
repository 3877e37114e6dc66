//! A bound on the form of a filter: it is evaluated by recursion, and a stack that overflows ends the whole process.

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr};

/// Longest text of a filter, in bytes.
pub(super) const MAX_TEXT: usize = 4096;
/// Most levels: `a + b + c` and `a.b.c` have three, each loop counts as [`LOOP`].
pub(super) const MAX_LEVELS: usize = 64;
/// What a loop takes on the stack, in levels.
const LOOP: usize = 5;

/// How many levels an expression has.
pub(super) fn levels(expression: &IdedExpr) -> usize {
    let deepest = |parts: &mut dyn Iterator<Item = &IdedExpr>| parts.map(levels).max().unwrap_or(0);
    match &expression.expr {
        Expr::Call(call) => 1 + deepest(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => 1 + deepest(&mut list.elements.iter()),
        Expr::Select(select) => 1 + levels(&select.operand),
        Expr::Map(map) => 1 + map.entries.iter().map(|entry| of_entry(&entry.expr)).max().unwrap_or(0),
        Expr::Struct(object) => {
            1 + object.entries.iter().map(|entry| of_entry(&entry.expr)).max().unwrap_or(0)
        }
        Expr::Comprehension(comprehension) => {
            let parts = [
                &comprehension.iter_range,
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ];
            LOOP + deepest(&mut parts.into_iter())
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => 1,
    }
}

fn of_entry(entry: &EntryExpr) -> usize {
    match entry {
        EntryExpr::StructField(field) => levels(&field.value),
        EntryExpr::MapEntry(entry) => levels(&entry.key).max(levels(&entry.value)),
    }
}
