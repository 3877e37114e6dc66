//! A bound on the work of one filter: CEL always ends, but nested loops over a large event may take hours.
//!
//! Each loop (`all`, `exists`, `map` and their kin) is made to pay for its items before it goes through them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use cel::common::ast::{CallExpr, EntryExpr, Expr};
use cel::{Context, DeclarationError, ExecutionError, IdedExpr, Value as Cel};

/// Most items that all loops of a filter go through for one event, together: a tenth of a second.
pub(super) const MAX_STEPS: usize = 100_000;

/// The function that every loop's list goes through; no filter can name it.
const CHARGE: &str = "@charge";

/// What one evaluation has used.
#[derive(Clone)]
pub(super) struct Budget(Arc<AtomicUsize>);

impl Budget {
    pub(super) fn new() -> Self {
        Self(Arc::default())
    }

    /// Makes the loops of an expression that [`charge_loops`] was given pay here.
    ///
    /// # Errors
    /// None in practice: the name is no one else's.
    pub(super) fn hand_to(&self, context: &mut Context<'_, '_>) -> Result<(), DeclarationError> {
        let used = Arc::clone(&self.0);
        context.add_function(CHARGE, move |items: Cel| -> Result<Cel, ExecutionError> {
            let steps = match &items {
                Cel::List(list) => list.len(),
                Cel::Map(map) => map.map.len(),
                _ => 0,
            };
            // One for the loop itself, so that loops over nothing are not free.
            let before = used.fetch_add(steps + 1, Ordering::Relaxed);
            if before + steps < MAX_STEPS {
                Ok(items)
            } else {
                Err(ExecutionError::function_error(CHARGE, "too many steps"))
            }
        })
    }

    /// Refuses all further loops.
    pub(super) fn use_up(&self) {
        self.0.store(MAX_STEPS + 1, Ordering::Relaxed);
    }

    /// Whether a loop was refused.
    pub(super) fn is_used_up(&self) -> bool {
        self.0.load(Ordering::Relaxed) > MAX_STEPS
    }
}

/// Lets every loop of an expression pay for its items.
pub(super) fn charge_loops(expression: &mut IdedExpr) {
    match &mut expression.expr {
        Expr::Call(call) => {
            call.target.iter_mut().for_each(|target| charge_loops(target));
            call.args.iter_mut().for_each(charge_loops);
        }
        Expr::List(list) => list.elements.iter_mut().for_each(charge_loops),
        Expr::Select(select) => charge_loops(&mut select.operand),
        Expr::Map(map) => map.entries.iter_mut().for_each(|entry| charge_entry(&mut entry.expr)),
        Expr::Struct(object) => object.entries.iter_mut().for_each(|entry| charge_entry(&mut entry.expr)),
        Expr::Comprehension(comprehension) => {
            let parts = [
                &mut comprehension.iter_range,
                &mut comprehension.accu_init,
                &mut comprehension.loop_cond,
                &mut comprehension.loop_step,
                &mut comprehension.result,
            ];
            parts.into_iter().for_each(charge_loops);
            let items = std::mem::take(&mut comprehension.iter_range);
            let call = CallExpr { func_name: CHARGE.to_owned(), target: None, args: vec![items] };
            comprehension.iter_range = IdedExpr { expr: Expr::Call(call), ..IdedExpr::default() };
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => {}
    }
}

fn charge_entry(entry: &mut EntryExpr) {
    match entry {
        EntryExpr::StructField(field) => charge_loops(&mut field.value),
        EntryExpr::MapEntry(entry) => {
            charge_loops(&mut entry.key);
            charge_loops(&mut entry.value);
        }
    }
}
