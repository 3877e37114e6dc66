//! A bound on what a filter makes and compares. Few loops can make a value that is huge: each of `[x, x]` and `x + x` doubles
//! it, and values that share their parts take little room until they are compared.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::filter_budget::Budget;
use cel::common::ast::{CallExpr, EntryExpr, Expr, operators};
use cel::{Context, DeclarationError, ExecutionError, IdedExpr, Value as Cel};

/// Heaviest that all values together may be that a filter makes and compares for one event: as many as a loop has items.
pub(super) const MAX_WEIGHT: usize = 100_000;

/// The function that such values go through; no filter can name it.
const WEIGH: &str = "@weigh";

/// So many bytes of a text weigh as much as a number.
const BYTES: usize = 16;

/// What one evaluation has made and compared.
pub(super) struct Weight(Arc<AtomicUsize>);

impl Weight {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Makes the parts of an expression that [`weigh`] was given count here.
    ///
    /// # Errors
    /// None in practice: the name is no one else's.
    pub(super) fn hand_to(
        &self,
        context: &mut Context<'_, '_>,
        budget: &Budget,
    ) -> Result<(), DeclarationError> {
        let used = Arc::clone(&self.0);
        let budget = budget.clone();
        context.add_function(WEIGH, move |value: Cel| -> Result<Cel, ExecutionError> {
            // Numbers are paid for as items of their loop.
            if !matches!(value, Cel::List(_) | Cel::Map(_) | Cel::String(_) | Cel::Bytes(_)) {
                return Ok(value);
            }
            let mut left = MAX_WEIGHT.saturating_sub(used.load(Ordering::Relaxed));
            if take(&value, &mut left) {
                used.store(MAX_WEIGHT - left, Ordering::Relaxed);
                return Ok(value);
            }
            used.store(MAX_WEIGHT + 1, Ordering::Relaxed);
            // Loops go on after an error: no other one may begin.
            budget.use_up();
            Err(ExecutionError::function_error(WEIGH, "too much"))
        })
    }

    /// Whether a value was refused.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_WEIGHT
    }
}

/// Takes a value's weight from what is left, and stops where nothing is.
fn take(value: &Cel, left: &mut usize) -> bool {
    let own = match value {
        Cel::String(text) => 1 + text.len() / BYTES,
        Cel::Bytes(bytes) => 1 + bytes.len() / BYTES,
        _ => 1,
    };
    if *left < own {
        return false;
    }
    *left -= own;
    match value {
        Cel::List(items) => items.iter().all(|item| take(item, left)),
        Cel::Map(map) => map.map.values().all(|item| take(item, left)),
        _ => true,
    }
}

/// Lets an expression weigh what it makes by `+`, and inside of loops also its lists and maps, what is compared, and what is
/// put into the list that a loop makes.
pub(super) fn weigh(expression: &mut IdedExpr) {
    within(expression, Place::Outside);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Outside,
    Loop,
}

fn within(expression: &mut IdedExpr, place: Place) {
    let heavy = match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| within(target, place));
            if is_append(call) {
                call.args.iter_mut().for_each(|argument| within_appended(argument, place));
                return;
            }
            call.args.iter_mut().for_each(|argument| within(argument, place));
            compared(call).into_iter().filter(|_| place == Place::Loop).for_each(wrap);
            call.func_name == operators::ADD
        }
        Expr::List(list) => {
            list.elements.iter_mut().for_each(|element| within(element, place));
            place == Place::Loop
        }
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    within(&mut entry.key, place);
                    within(&mut entry.value, place);
                }
            }
            place == Place::Loop
        }
        Expr::Select(select) => {
            within(&mut select.operand, place);
            false
        }
        Expr::Comprehension(comprehension) => {
            within(&mut comprehension.iter_range, place);
            for part in
                [&mut comprehension.loop_cond, &mut comprehension.loop_step, &mut comprehension.result]
            {
                within(part, Place::Loop);
            }
            false
        }
        Expr::Struct(_) | Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => false,
    };
    if heavy {
        wrap(expression);
    }
}

/// Whether this is how `map` and `filter` append to their list: the interpreter knows the form, which has to stay.
fn is_append(call: &CallExpr) -> bool {
    let [list, items] = call.args.as_slice() else { return false };
    let own = matches!(&list.expr, Expr::Ident(name) if name.starts_with('@'));
    own && call.func_name == operators::ADD && matches!(items.expr, Expr::List(_))
}

fn within_appended(argument: &mut IdedExpr, place: Place) {
    if let Expr::List(items) = &mut argument.expr {
        for item in &mut items.elements {
            within(item, place);
            wrap(item);
        }
    }
}

/// What has to be gone through to compare: nothing much, if one side stands in the filter.
fn compared(call: &mut CallExpr) -> Option<&mut IdedExpr> {
    let [one, other] = call.args.as_mut_slice() else { return None };
    let constant = [&*one, &*other].iter().any(|side| matches!(side.expr, Expr::Literal(_)));
    match call.func_name.as_str() {
        operators::EQUALS | operators::NOT_EQUALS if !constant => Some(one),
        operators::IN => Some(other),
        _ => None,
    }
}

fn wrap(expression: &mut IdedExpr) {
    if matches!(expression.expr, Expr::Literal(_)) {
        return;
    }
    let inner = std::mem::take(expression);
    let call = CallExpr { func_name: WEIGH.to_owned(), target: None, args: vec![inner] };
    *expression = IdedExpr { expr: Expr::Call(call), ..IdedExpr::default() };
}
