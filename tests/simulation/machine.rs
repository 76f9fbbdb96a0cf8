//! An interpreter for the state machines: the part of the Amazon States Language that they use, with the documented
//! semantics. It panics on anything that it does not implement, so that nothing is ignored silently.

use crate::world::{Execution, World};
use serde_json::{Map, Value, json};
use std::{future::Future, pin::Pin, rc::Rc, sync::Arc, time::Duration};
use support::jsonata::{Variables, fill};
use tokio::time::{sleep, timeout};

/// The error of a state, as in `$states.errorOutput`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub error: String,
    pub cause: Option<String>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Succeeded(Value),
    Failed(Failure),
    TimedOut,
    /// Stopped by `StopExecution`.
    Aborted,
}

impl Failure {
    pub fn new(error: &str, cause: impl Into<String>) -> Self {
        Self {
            error: error.to_owned(),
            cause: Some(cause.into()),
        }
    }

    fn output(&self) -> Value {
        let mut output = json!({ "Error": self.error });
        if let Some(cause) = &self.cause {
            output["Cause"] = json!(cause);
        }
        output
    }

    fn query(message: String) -> Self {
        Self::new("States.QueryEvaluationError", message)
    }
}

/// Runs an execution of a machine to its end.
pub async fn run(world: Arc<World>, machine: Arc<Value>, execution: Arc<Execution>) -> End {
    assert_fields(
        "the machine",
        &machine,
        &["Comment", "QueryLanguage", "StartAt", "TimeoutSeconds", "States"],
    );
    assert_eq!(machine["QueryLanguage"], "JSONata");
    let limit = Duration::from_secs(machine["TimeoutSeconds"].as_u64().expect("TimeoutSeconds"));
    let run = Run { world, execution };
    let input = run.execution.input.clone();
    let mut variables = Variables::new();
    let states = run.states(&machine, input, &mut variables, Value::Null);
    match timeout(limit, states).await {
        Ok(Ok(output)) => End::Succeeded(output),
        Ok(Err(failure)) => End::Failed(failure),
        Err(_) => End::TimedOut,
    }
}

struct Run {
    world: Arc<World>,
    execution: Arc<Execution>,
}

/// What follows a state: the next state with its input, or the end with the output.
enum Transition {
    Next(String, Value),
    End(Value),
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

impl Run {
    /// Runs the states of a machine or of an item processor, from its `StartAt` on.
    fn states<'a>(
        &'a self,
        definition: &'a Value,
        input: Value,
        variables: &'a mut Variables,
        item: Value,
    ) -> Boxed<'a, Result<Value, Failure>> {
        Box::pin(async move {
            let mut name = text(&definition["StartAt"]).to_owned();
            let mut input = input;
            loop {
                let state = definition["States"]
                    .get(&name)
                    .unwrap_or_else(|| panic!("the state {name} does not exist"));
                self.world.trace(&self.execution, || format!("» {name}"));
                match self.state(&name, state, input, variables, &item).await? {
                    Transition::Next(next, output) => (name, input) = (next, output),
                    Transition::End(output) => return Ok(output),
                }
            }
        })
    }

    /// Runs one state.
    async fn state(
        &self,
        name: &str,
        state: &Value,
        input: Value,
        variables: &mut Variables,
        item: &Value,
    ) -> Result<Transition, Failure> {
        let mut context = json!({
            "Execution": {
                "Id": self.execution.arn, "Input": self.execution.input, "StartTime": "2026-01-01T00:00:00.000Z",
            },
            "State": { "Name": name },
        });
        if !item.is_null() {
            context["Map"] = json!({ "Item": item });
        }
        let states = json!({ "input": input, "context": context });
        let common = ["Type", "Comment", "Next", "End", "Output", "Assign"];
        let assert_common_and = |more: &[&str]| assert_fields(name, state, &[&common[..], more].concat());
        match text(&state["Type"]) {
            "Task" => {
                assert_common_and(&["Resource", "Arguments", "TimeoutSeconds", "Retry", "Catch"]);
                match self.task(name, state, &states, variables).await {
                    Ok(result) => leave(state, state, with(states, "result", result.clone()), result, variables),
                    Err(failure) => catch(state, states, failure, variables),
                }
            }
            "Map" => {
                assert_common_and(&["Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"]);
                let result = self.map(state, &states, variables).await?;
                leave(state, state, with(states, "result", result.clone()), result, variables)
            }
            "Choice" => {
                assert_common_and(&["Choices", "Default"]);
                for rule in list(&state["Choices"]) {
                    assert_fields(name, rule, &["Condition", "Next", "Assign", "Output", "Comment"]);
                    let scope = scope(variables, &states);
                    match fill(&rule["Condition"], &scope).map_err(Failure::query)? {
                        Value::Bool(true) => return leave(rule, rule, states, input, variables),
                        Value::Bool(false) => {}
                        other => {
                            let message = format!("the condition of {name} is not a boolean: {other}");
                            return Err(Failure::query(message));
                        }
                    }
                }
                let default = json!({ "Next": text(&state["Default"]) });
                leave(state, &default, states, input, variables)
            }
            "Wait" => {
                assert_common_and(&["Seconds"]);
                let seconds = fill(&state["Seconds"], &scope(variables, &states)).map_err(Failure::query)?;
                let seconds = seconds
                    .as_f64()
                    .unwrap_or_else(|| panic!("{name}: Seconds is not a number: {seconds}"));
                sleep(Duration::from_secs_f64(seconds)).await;
                leave(state, state, states, input, variables)
            }
            "Pass" => {
                assert_common_and(&[]);
                leave(state, state, states, input, variables)
            }
            "Succeed" => {
                assert_fields(name, state, &["Type", "Comment", "Output"]);
                let output = match state.get("Output") {
                    Some(output) => fill(output, &scope(variables, &states)).map_err(Failure::query)?,
                    None => input,
                };
                Ok(Transition::End(output))
            }
            "Fail" => {
                assert_fields(name, state, &["Type", "Comment", "Error", "Cause"]);
                let scope = scope(variables, &states);
                let evaluate = |field: &str| match fill(&state[field], &scope).map_err(Failure::query)? {
                    Value::String(text) => Ok(text),
                    other => Err(Failure::query(format!("{field} of {name} is not a string: {other}"))),
                };
                Err(Failure::new(&evaluate("Error")?, evaluate("Cause")?))
            }
            other => panic!("{name}: unknown type {other}"),
        }
    }

    /// Runs a task, with the attempts that its retriers allow.
    async fn task(&self, name: &str, state: &Value, states: &Value, variables: &Variables) -> Result<Value, Failure> {
        assert_eq!(state["Resource"], "arn:aws:states:::lambda:invoke");
        let retriers = state.get("Retry").map_or(&[][..], list);
        let mut attempts = vec![0; retriers.len()];
        loop {
            let failure = match self.attempt(name, state, states, variables).await {
                Ok(result) => return Ok(result),
                Err(failure) => failure,
            };
            self.world.trace(&self.execution, || {
                format!("  failed: {} {}", failure.error, failure.cause.as_deref().unwrap_or(""))
            });
            let Some(i) = retriers.iter().position(|retrier| matches(retrier, &failure.error)) else {
                return Err(failure);
            };
            assert_fields(
                "a retrier",
                &retriers[i],
                &[
                    "ErrorEquals",
                    "IntervalSeconds",
                    "BackoffRate",
                    "MaxAttempts",
                    "MaxDelaySeconds",
                    "JitterStrategy",
                ],
            );
            let number =
                |field: &str, default: f64| retriers[i].get(field).map_or(default, |n| n.as_f64().expect(field));
            if f64::from(attempts[i]) >= number("MaxAttempts", 3.0) {
                return Err(failure);
            }
            let delay = number("IntervalSeconds", 1.0) * number("BackoffRate", 2.0).powi(attempts[i]);
            let delay = delay.min(number("MaxDelaySeconds", f64::MAX));
            attempts[i] += 1;
            let jitter = match retriers[i].get("JitterStrategy").map(text) {
                Some("FULL") => self.world.random_fraction(),
                None | Some("NONE") => 1.0,
                Some(other) => panic!("unknown jitter strategy {other}"),
            };
            sleep(Duration::from_secs_f64(delay * jitter)).await;
        }
    }

    /// Invokes the function of a task once.
    async fn attempt(
        &self,
        name: &str,
        state: &Value,
        states: &Value,
        variables: &Variables,
    ) -> Result<Value, Failure> {
        let arguments = fill(&state["Arguments"], &scope(variables, states)).map_err(Failure::query)?;
        assert_fields("Arguments", &arguments, &["FunctionName", "Payload"]);
        let function = text(&arguments["FunctionName"])
            .strip_prefix("${")
            .and_then(|name| name.strip_suffix('}'))
            .expect("a placeholder");
        let invocation = World::invoke(
            &self.world,
            &self.execution,
            name,
            function,
            arguments["Payload"].clone(),
        );
        let limit = Duration::from_secs(state["TimeoutSeconds"].as_u64().expect("TimeoutSeconds"));
        let payload = timeout(limit, invocation).await.unwrap_or_else(|_| {
            Err(Failure {
                error: "States.Timeout".to_owned(),
                cause: None,
            })
        })?;
        Ok(json!({ "ExecutedVersion": "$LATEST", "Payload": payload, "StatusCode": 200 }))
    }

    /// Runs the item processor for each item, at most `MaxConcurrency` at a time. The first failure ends all of them.
    async fn map(&self, state: &Value, states: &Value, variables: &Variables) -> Result<Value, Failure> {
        let scope_of_map = scope(variables, states);
        let items = match fill(&state["Items"], &scope_of_map).map_err(Failure::query)? {
            Value::Array(items) => items,
            other => return Err(Failure::query(format!("Items is not an array: {other}"))),
        };
        let processor = &state["ItemProcessor"];
        assert_fields("ItemProcessor", processor, &["ProcessorConfig", "StartAt", "States"]);
        assert_eq!(processor["ProcessorConfig"], json!({ "Mode": "INLINE" }));
        let inputs = items.into_iter().enumerate().map(|(index, value)| {
            let item = json!({ "Index": index, "Value": value });
            let mut context = states["context"].clone();
            context["Map"] = json!({ "Item": item });
            let states = json!({ "input": states["input"], "context": context });
            let input = match state.get("ItemSelector") {
                Some(selector) => fill(selector, &scope(variables, &states)).map_err(Failure::query)?,
                None => value,
            };
            Ok((item, input))
        });
        let inputs: Vec<(Value, Value)> = inputs.collect::<Result<_, Failure>>()?;
        let max_concurrency = state
            .get("MaxConcurrency")
            .map_or(40, |n| n.as_u64().expect("a number")) as usize;
        let permits = Rc::new(tokio::sync::Semaphore::new(max_concurrency));
        let mut iterations: Vec<Option<Boxed<'_, Result<Value, Failure>>>> = Vec::new();
        for (item, input) in inputs {
            let permits = Rc::clone(&permits);
            // Each iteration has its own variables.
            let mut own = variables.clone();
            iterations.push(Some(Box::pin(async move {
                let _permit = permits.acquire().await.expect("the semaphore is never closed");
                self.states(processor, input, &mut own, item).await
            })));
        }
        let mut results = vec![Value::Null; iterations.len()];
        std::future::poll_fn(|context| {
            for (iteration, result) in iterations.iter_mut().zip(&mut results) {
                let Some(future) = iteration else { continue };
                if let std::task::Poll::Ready(outcome) = future.as_mut().poll(context) {
                    match outcome {
                        Ok(output) => *result = output,
                        Err(failure) => return std::task::Poll::Ready(Err(failure)),
                    }
                    *iteration = None;
                }
            }
            match iterations.iter().all(Option::is_none) {
                true => std::task::Poll::Ready(Ok(())),
                false => std::task::Poll::Pending,
            }
        })
        .await?;
        Ok(Value::Array(results))
    }
}

/// Leaves a state. Evaluates `Assign` and `Output` of a state, rule or catcher, both with the variables before the
/// assignment; then follows `Next` or `End` of `target`. Without `Output` the output is `default_output`.
fn leave(
    source: &Value,
    target: &Value,
    states: Value,
    default_output: Value,
    variables: &mut Variables,
) -> Result<Transition, Failure> {
    let scope = scope(variables, &states);
    let assigned = match source.get("Assign") {
        Some(assign) => fill(assign, &scope).map_err(Failure::query)?,
        None => json!({}),
    };
    let output = match source.get("Output") {
        Some(output) => fill(output, &scope).map_err(Failure::query)?,
        None => default_output,
    };
    if let Value::Object(assigned) = assigned {
        variables.extend(assigned);
    }
    if target.get("End") == Some(&json!(true)) {
        return Ok(Transition::End(output));
    }
    Ok(Transition::Next(text(&target["Next"]).to_owned(), output))
}

/// Passes a failure to the first catcher that matches; without one, the execution fails.
fn catch(state: &Value, states: Value, failure: Failure, variables: &mut Variables) -> Result<Transition, Failure> {
    let catchers = state.get("Catch").map_or(&[][..], list);
    let Some(catcher) = catchers.iter().find(|catcher| matches(catcher, &failure.error)) else {
        return Err(failure);
    };
    assert_fields(
        "a catcher",
        catcher,
        &["ErrorEquals", "Assign", "Output", "Next", "Comment"],
    );
    let output = failure.output();
    leave(
        catcher,
        catcher,
        with(states, "errorOutput", output.clone()),
        output,
        variables,
    )
}

/// Whether a retrier or catcher matches an error (Step Functions guide, "Handling errors").
fn matches(handler: &Value, error: &str) -> bool {
    list(&handler["ErrorEquals"]).iter().map(text).any(|name| match name {
        "States.ALL" => !matches!(error, "States.DataLimitExceeded" | "States.Runtime"),
        "States.TaskFailed" => panic!("the state machines do not use States.TaskFailed"),
        name => name == error,
    })
}

/// The variables of an expression: those of the execution, and `$states`.
fn scope(variables: &Variables, states: &Value) -> Variables {
    let mut scope = variables.clone();
    scope.insert("states".to_owned(), states.clone());
    scope
}

fn with(mut states: Value, name: &str, value: Value) -> Value {
    states[name] = value;
    states
}

/// Panics if an object has a field that this interpreter does not implement.
fn assert_fields(name: &str, value: &Value, known: &[&str]) {
    let fields: &Map<String, Value> = value
        .as_object()
        .unwrap_or_else(|| panic!("{name} is not an object: {value}"));
    for field in fields.keys() {
        assert!(known.contains(&field.as_str()), "{name}: unknown field {field}");
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not an array: {value}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("not a string: {value}"))
}
