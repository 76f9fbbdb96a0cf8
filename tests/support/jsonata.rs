//! Evaluates JSONata as Step Functions does: `{% … %}` at any depth, with `$parse`. An undefined result is an error.

use jsonata_core::{
    ast::AstNode,
    evaluator::{Context, Evaluator, EvaluatorError},
    parser,
    value::JValue,
};
use serde_json::{Map, Value};
use std::{
    cell::RefCell,
    collections::HashMap,
    fs::File,
    io::Write,
    rc::Rc,
    sync::{Mutex, OnceLock},
};

/// The variables of an expression, by name without `$`; `states` is one of them.
pub type Variables = Map<String, Value>;

/// Evaluates every expression in a template. Other values remain as they are.
///
/// # Errors
/// The message of a `States.QueryEvaluationError`.
pub fn fill(template: &Value, variables: &Variables) -> Result<Value, String> {
    Ok(match template {
        Value::String(text) => match text.strip_prefix("{%").and_then(|text| text.strip_suffix("%}")) {
            Some(expression) => evaluate(expression.trim(), variables)?,
            None => template.clone(),
        },
        Value::Array(items) => items
            .iter()
            .map(|item| fill(item, variables))
            .collect::<Result<_, _>>()?,
        Value::Object(fields) => fields
            .iter()
            .map(|(name, field)| Ok((name.clone(), fill(field, variables)?)))
            .collect::<Result<Map<_, _>, String>>()?
            .into(),
        other => other.clone(),
    })
}

/// Evaluates one expression, given without `{%` and `%}`.
///
/// # Errors
/// The message of a `States.QueryEvaluationError`.
pub fn evaluate(expression: &str, variables: &Variables) -> Result<Value, String> {
    let mut context = Context::new();
    for (name, value) in variables {
        // Only variables that the expression may use are converted.
        if expression.contains(name.as_str()) {
            context.bind(name.clone(), JValue::from(value.clone()));
        }
    }
    let mut evaluator = Evaluator::with_context(context);
    evaluator
        .register_fn("parse", |arguments: &[JValue]| {
            let text = arguments.first().and_then(JValue::as_str).unwrap_or_default();
            JValue::from_json_str(text).map_err(|error| EvaluatorError::EvaluationError(format!("$parse: {error}")))
        })
        .expect("JSONata has no function with this name");
    let result = evaluator
        .evaluate(&parse(expression), &JValue::Undefined)
        .map_err(|error| format!("{expression}: {error}"))?;
    if result.is_undefined() {
        return Err(format!("{expression} returned nothing (undefined)"));
    }
    let result = serde_json::to_value(&result).map_err(|error| format!("{expression}: {error}"))?;
    record(expression, variables, &result);
    Ok(result)
}

/// The maximum number of evaluations of one expression that a process records.
const MAX_RECORDED: usize = 25;

/// The open file, and how many evaluations of each expression it has.
type Recorder = Mutex<(File, HashMap<String, usize>)>;

/// Appends an evaluation to the file in `AMPXA_EXPRESSIONS`. `.ci/jsonata.mjs` compares it with another implementation
/// of JSONata.
fn record(expression: &str, variables: &Variables, result: &Value) {
    static FILE: OnceLock<Option<Recorder>> = OnceLock::new();
    let open = || {
        let path = std::env::var_os("AMPXA_EXPRESSIONS")?;
        let file = File::options().create(true).append(true).open(path);
        Some(Mutex::new((
            file.expect("AMPXA_EXPRESSIONS is the path of a file"),
            HashMap::new(),
        )))
    };
    let Some(recorder) = FILE.get_or_init(open) else { return };
    let mut recorder = recorder.lock().expect("no thread panics while it records");
    let (file, counts) = &mut *recorder;
    let count = counts.entry(expression.to_owned()).or_default();
    *count += 1;
    if *count <= MAX_RECORDED {
        let used = variables.iter().filter(|(name, _)| expression.contains(name.as_str()));
        let used: Variables = used.map(|(name, value)| (name.clone(), value.clone())).collect();
        let line = serde_json::json!({ "expression": expression, "variables": used, "result": result });
        writeln!(file, "{line}").expect("the file is writable");
    }
}

/// The syntax tree of an expression, given without `{%` and `%}`.
///
/// # Panics
/// If the text is not an expression.
pub fn parse(expression: &str) -> Rc<AstNode> {
    thread_local! {
        static CACHE: RefCell<HashMap<String, Rc<AstNode>>> = RefCell::default();
    }
    CACHE.with_borrow_mut(|cache| match cache.get(expression) {
        Some(ast) => Rc::clone(ast),
        None => {
            let ast = parser::parse(expression).unwrap_or_else(|error| panic!("{expression}: {error:?}"));
            let ast = Rc::new(ast);
            cache.insert(expression.to_owned(), Rc::clone(&ast));
            ast
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(expression: &str, variables: Value) -> Result<Value, String> {
        let Value::Object(variables) = variables else {
            panic!("the variables are an object");
        };
        fill(&json!(format!("{{% {expression} %}}")), &variables)
    }

    #[test]
    fn expressions_have_the_values_that_the_state_machines_rely_on() {
        for (expression, variables, result) in [
            ("$seconds + 30", json!({ "seconds": 30 }), json!(60)),
            ("[$all]", json!({ "all": [] }), json!([])),
            ("[$all]", json!({ "all": ["a"] }), json!(["a"])),
            (
                "[$all.x]",
                json!({ "all": [{ "x": ["a"] }, { "x": ["b"] }] }),
                json!(["a", "b"]),
            ),
            (
                "[$map($all, function($x) { $x & '!' })]",
                json!({ "all": [] }),
                json!([]),
            ),
            (
                "[$map($all, function($x) { $x & '!' })]",
                json!({ "all": ["a"] }),
                json!(["a!"]),
            ),
            (
                "[$created ? 'a' : [], $created ? [] : 'b']",
                json!({ "created": true }),
                json!(["a"]),
            ),
            ("$exists($a.b) ? $a.b : null", json!({ "a": {} }), json!(null)),
            ("$parse($text).x", json!({ "text": "{\"x\":1}" }), json!(1)),
            ("$join(['a', 'b'], ', ')", json!({}), json!("a, b")),
            ("$distinct($append($all, ['a']))", json!({ "all": [] }), json!(["a"])),
        ] {
            assert_eq!(value(expression, variables), Ok(result), "{expression}");
        }
        assert!(value("$a.b", json!({ "a": {} })).is_err(), "an undefined result");
    }
}
