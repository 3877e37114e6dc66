//! A filter over a whole event, in the Common Expression Language.

use std::collections::HashMap;
use std::sync::Arc;

use cel::common::ast::{EntryExpr, Expr};
use cel::{Context, Env, IdedExpr, Value as Cel};
use serde_json::{Map, Value};

use super::filter_budget::{Budget, MAX_STEPS, charge_loops};
use super::filter_depth::{MAX_LEVELS, MAX_TEXT, levels};
use super::filter_weight::{Weight, weigh};
use super::{EvalError, Event, SpecError};

/// What a filter may name: the attributes of the event, and `event` for all of them together. CEL reserves the name
/// `namespace`, which is therefore only `event.namespace`.
const NAMES: &[&str] = &["key", "type", "source", "id", "sender", "time", "data", "extensions", "event"];
/// What `event` has in it.
const ATTRIBUTES: &[&str] =
    &["key", "type", "namespace", "source", "id", "sender", "time", "data", "extensions"];

/// A compiled filter.
pub(super) struct Filter {
    text: String,
    expression: IdedExpr,
    work: Work,
    env: Arc<Env>,
    /// The attributes that it names; only these are given to it.
    names: Vec<&'static str>,
}

/// Whether a filter has loops or makes values, which have to be paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Some,
    None,
}

impl Filter {
    pub(super) fn new(text: &str) -> Result<Self, SpecError> {
        let wrong = |problem: String| SpecError::Filter { filter: text.to_owned(), problem };
        if text.len() > MAX_TEXT {
            let filter = text.chars().take(100).collect();
            let problem = format!("it is longer than {MAX_TEXT} bytes");
            return Err(SpecError::Filter { filter, problem });
        }
        let env = Arc::new(Env::stdlib());
        let program = env.compile(text).map_err(|error| wrong(error.to_string()))?;
        if levels(program.expression()) > MAX_LEVELS {
            return Err(wrong(format!(
                "it has more than {MAX_LEVELS} levels, of which a loop takes several"
            )));
        }
        let references = program.references();
        let variables = references.variables();
        let mut own = Vec::new();
        own_names(program.expression(), &mut own);
        let known = |name: &str| NAMES.contains(&name) || TYPES.contains(&name) || own.contains(&name);
        if let Some(name) = variables.iter().find(|name| !known(name)) {
            return Err(wrong(format!("`{name}` is none of {}", NAMES.join(", "))));
        }
        let names = NAMES.iter().copied().filter(|name| variables.contains(name)).collect();
        let mut expression = program.expression().clone();
        weigh(&mut expression);
        charge_loops(&mut expression);
        let work = if expression == *program.expression() { Work::None } else { Work::Some };
        Ok(Self { text: text.to_owned(), names, expression, work, env })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the event passes.
    ///
    /// # Errors
    /// If the filter fails on it, gives anything but true or false, or goes through more list items than it may.
    pub(super) fn accepts(&self, event: &Event) -> Result<bool, EvalError> {
        let failed = |problem: String| EvalError::Filter { filter: self.text.clone(), problem };
        let mut context = Context::with_env(Arc::clone(&self.env));
        for name in &self.names {
            context.add_variable_from_value(*name, variable(name, event));
        }
        let (budget, weight) = (Budget::new(), Weight::new());
        if self.work == Work::Some {
            let handed = budget.hand_to(&mut context).and_then(|()| weight.hand_to(&mut context, &budget));
            handed.map_err(|error| failed(error.to_string()))?;
        }
        let result = Cel::resolve(&self.expression, &context);
        if weight.is_used_up() {
            return Err(failed(
                "what it makes and compares is too large, which would hold up everything else: use fewer lists in lists, or send smaller events".to_owned(),
            ));
        }
        // Also where a loop has made nothing of the error, as `false && error` may.
        if budget.is_used_up() {
            return Err(failed(format!(
                "it goes through more than {MAX_STEPS} list items, which would hold up everything else: nest fewer loops, or send smaller events"
            )));
        }
        match result {
            Ok(Cel::Bool(accepted)) => Ok(accepted),
            Ok(other) => Err(EvalError::NotBoolean { filter: self.text.clone(), value: told(&other) }),
            Err(error) => Err(failed(error.to_string())),
        }
    }
}

/// A value in a message: a large one by its type only.
fn told(value: &Cel) -> String {
    match value {
        Cel::Int(_) | Cel::UInt(_) | Cel::Float(_) | Cel::Null => format!("{value:?}"),
        Cel::String(text) if text.len() <= 100 => format!("{value:?}"),
        other => format!("a {}", other.type_of()),
    }
}

fn variable(name: &str, event: &Event) -> Cel {
    match name {
        "key" => text(&event.key),
        "type" => text(&event.event_type),
        "source" => text(&event.source),
        "id" => text(&event.id),
        "sender" => event.sender.as_deref().map_or(Cel::Null, text),
        "time" => Cel::Timestamp(event.time.fixed_offset()),
        "data" => value(&event.data),
        "extensions" => object(&event.extensions),
        "event" => {
            let all = ATTRIBUTES.iter().map(|name| ((*name).to_owned(), variable(name, event)));
            all.collect::<HashMap<String, Cel>>().into()
        }
        "namespace" => text(&event.namespace),
        _ => Cel::Null,
    }
}

fn text(text: &str) -> Cel {
    Cel::String(Arc::new(text.to_owned()))
}

fn object(map: &Map<String, Value>) -> Cel {
    let map: HashMap<String, Cel> = map.iter().map(|(name, inner)| (name.clone(), value(inner))).collect();
    map.into()
}

/// JSON's whole numbers are CEL's `int`, its other numbers `double`; the two can be compared.
fn value(json: &Value) -> Cel {
    match json {
        Value::Null => Cel::Null,
        Value::Bool(flag) => Cel::Bool(*flag),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Cel::Int(int),
            (_, Some(uint)) => Cel::UInt(uint),
            _ => Cel::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(string) => text(string),
        Value::Array(items) => Cel::List(Arc::new(items.iter().map(value).collect())),
        Value::Object(map) => object(map),
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Filter").field(&self.text).finish()
    }
}

/// Names of types, which stand for themselves.
const TYPES: &[&str] = &[
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "bool",
    "list",
    "map",
    "null_type",
    "duration",
    "timestamp",
];

/// The names that a filter brings itself: the `x` of `exists(x, ..)`.
fn own_names<'a>(expression: &'a IdedExpr, names: &mut Vec<&'a str>) {
    let mut all = |inner: &mut dyn Iterator<Item = &'a IdedExpr>| {
        for expression in inner {
            own_names(expression, names);
        }
    };
    match &expression.expr {
        Expr::Call(call) => all(&mut call.target.as_deref().into_iter().chain(&call.args)),
        Expr::List(list) => all(&mut list.elements.iter()),
        Expr::Select(select) => own_names(&select.operand, names),
        Expr::Map(map) => all(&mut map.entries.iter().flat_map(|entry| match &entry.expr {
            EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
            EntryExpr::StructField(field) => vec![&field.value],
        })),
        Expr::Comprehension(comprehension) => {
            all(&mut [
                &comprehension.iter_range,
                &comprehension.accu_init,
                &comprehension.loop_cond,
                &comprehension.loop_step,
                &comprehension.result,
            ]
            .into_iter());
            names.extend([comprehension.iter_var.as_str(), comprehension.accu_var.as_str()]);
            names.extend(comprehension.iter_var2.as_deref());
        }
        _ => {}
    }
}
