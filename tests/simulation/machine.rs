//! The state machines, interpreted: as much of the Amazon States Language as they use, with the
//! documented semantics. What is not known here panics, so that nothing is passed over in silence.

use crate::world::{Execution, World};
use serde_json::{Map, Value, json};
use std::{future::Future, pin::Pin, rc::Rc, sync::Arc, time::Duration};
use support::jsonata::{Variables, fill};
use tokio::time::{sleep, timeout};

/// Why a state failed, as `$states.errorOutput` says it.
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
    /// Stopped from outside.
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

    fn query(why: String) -> Self {
        Self::new("States.QueryEvaluationError", why)
    }
}

/// Runs a machine to its end.
pub async fn run(world: Arc<World>, machine: Arc<Value>, execution: Arc<Execution>) -> End {
    only(
        "the machine",
        &machine,
        &["Comment", "QueryLanguage", "StartAt", "TimeoutSeconds", "States"],
    );
    assert_eq!(machine["QueryLanguage"], "JSONata");
    let limit = Duration::from_secs(machine["TimeoutSeconds"].as_u64().expect("TimeoutSeconds"));
    let run = Run { world, execution };
    let input = run.execution.input.clone();
    let mut variables = Variables::new();
    let path = run.path(&machine, input, &mut variables, Value::Null);
    match timeout(limit, path).await {
        Ok(Ok(output)) => End::Succeeded(output),
        Ok(Err(failure)) => End::Failed(failure),
        Err(_) => End::TimedOut,
    }
}

struct Run {
    world: Arc<World>,
    execution: Arc<Execution>,
}

/// Where an execution goes after a state.
enum Then {
    Next(String, Value),
    Ended(Value),
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

impl Run {
    /// Runs a machine's or a processor's states from its `StartAt` on.
    fn path<'a>(
        &'a self,
        of: &'a Value,
        input: Value,
        variables: &'a mut Variables,
        item: Value,
    ) -> Boxed<'a, Result<Value, Failure>> {
        Box::pin(async move {
            let mut name = text(&of["StartAt"]).to_owned();
            let mut input = input;
            loop {
                let state = of["States"].get(&name).unwrap_or_else(|| panic!("no state {name}"));
                self.world.say(&self.execution, || format!("» {name}"));
                match self.state(&name, state, input, variables, &item).await? {
                    Then::Next(next, output) => (name, input) = (next, output),
                    Then::Ended(output) => return Ok(output),
                }
            }
        })
    }

    async fn state(
        &self,
        name: &str,
        state: &Value,
        input: Value,
        variables: &mut Variables,
        item: &Value,
    ) -> Result<Then, Failure> {
        let mut context = json!({
            "Execution": { "Id": self.execution.arn, "Input": self.execution.input },
            "State": { "Name": name },
        });
        if !item.is_null() {
            context["Map"] = json!({ "Item": item });
        }
        let states = json!({ "input": input, "context": context });
        let common = ["Type", "Comment", "Next", "End", "Output", "Assign"];
        let known = |more: &[&str]| only(name, state, &[&common[..], more].concat());
        match text(&state["Type"]) {
            "Task" => {
                known(&["Resource", "Arguments", "TimeoutSeconds", "Retry", "Catch"]);
                match self.task(name, state, &states, variables).await {
                    Ok(result) => leave(state, state, with(states, "result", result.clone()), result, variables),
                    Err(failure) => catch(state, states, failure, variables),
                }
            }
            "Map" => {
                known(&["Items", "ItemSelector", "ItemProcessor", "MaxConcurrency"]);
                let result = self.map(state, &states, variables).await?;
                leave(state, state, with(states, "result", result.clone()), result, variables)
            }
            "Choice" => {
                known(&["Choices", "Default"]);
                for rule in list(&state["Choices"]) {
                    only(name, rule, &["Condition", "Next", "Assign", "Output", "Comment"]);
                    let scope = scope(variables, &states);
                    match fill(&rule["Condition"], &scope).map_err(Failure::query)? {
                        Value::Bool(true) => return leave(rule, rule, states, input, variables),
                        Value::Bool(false) => {}
                        other => {
                            let why = format!("the condition of {name} is {other}, neither true nor false");
                            return Err(Failure::query(why));
                        }
                    }
                }
                let default = json!({ "Next": text(&state["Default"]) });
                leave(state, &default, states, input, variables)
            }
            "Wait" => {
                known(&["Seconds"]);
                let seconds = fill(&state["Seconds"], &scope(variables, &states)).map_err(Failure::query)?;
                let seconds = seconds
                    .as_f64()
                    .unwrap_or_else(|| panic!("{name}: {seconds} are no seconds"));
                sleep(Duration::from_secs_f64(seconds)).await;
                leave(state, state, states, input, variables)
            }
            "Pass" => {
                known(&[]);
                leave(state, state, states, input, variables)
            }
            "Succeed" => {
                only(name, state, &["Type", "Comment", "Output"]);
                let output = match state.get("Output") {
                    Some(output) => fill(output, &scope(variables, &states)).map_err(Failure::query)?,
                    None => input,
                };
                Ok(Then::Ended(output))
            }
            "Fail" => {
                only(name, state, &["Type", "Comment", "Error", "Cause"]);
                let scope = scope(variables, &states);
                let said = |field: &str| match fill(&state[field], &scope).map_err(Failure::query)? {
                    Value::String(said) => Ok(said),
                    other => Err(Failure::query(format!("{field} of {name} is {other}, no text"))),
                };
                Err(Failure::new(&said("Error")?, said("Cause")?))
            }
            other => panic!("{name}: a state of the type {other}"),
        }
    }

    /// Invokes a function, again and again as the retriers say.
    async fn task(&self, name: &str, state: &Value, states: &Value, variables: &Variables) -> Result<Value, Failure> {
        assert_eq!(state["Resource"], "arn:aws:states:::lambda:invoke");
        let retriers = state.get("Retry").map_or(&[][..], list);
        let mut attempts = vec![0; retriers.len()];
        loop {
            let failure = match self.attempt(name, state, states, variables).await {
                Ok(result) => return Ok(result),
                Err(failure) => failure,
            };
            self.world.say(&self.execution, || {
                format!("  failed: {} {}", failure.error, failure.cause.as_deref().unwrap_or(""))
            });
            let Some(i) = retriers.iter().position(|retrier| matches(retrier, &failure.error)) else {
                return Err(failure);
            };
            only(
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
                Some(other) => panic!("the jitter {other}"),
            };
            sleep(Duration::from_secs_f64(delay * jitter)).await;
        }
    }

    async fn attempt(
        &self,
        name: &str,
        state: &Value,
        states: &Value,
        variables: &Variables,
    ) -> Result<Value, Failure> {
        let arguments = fill(&state["Arguments"], &scope(variables, states)).map_err(Failure::query)?;
        only("Arguments", &arguments, &["FunctionName", "Payload"]);
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

    /// Runs the processor for each item, a few at a time; the first failure ends them all.
    async fn map(&self, state: &Value, states: &Value, variables: &Variables) -> Result<Value, Failure> {
        let scope_of_map = scope(variables, states);
        let items = match fill(&state["Items"], &scope_of_map).map_err(Failure::query)? {
            Value::Array(items) => items,
            other => return Err(Failure::query(format!("Items are {other}, no list"))),
        };
        let processor = &state["ItemProcessor"];
        only("ItemProcessor", processor, &["ProcessorConfig", "StartAt", "States"]);
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
        let at_once = state
            .get("MaxConcurrency")
            .map_or(40, |n| n.as_u64().expect("a number")) as usize;
        let room = Rc::new(tokio::sync::Semaphore::new(at_once));
        let mut paths: Vec<Option<Boxed<'_, Result<Value, Failure>>>> = Vec::new();
        for (item, input) in inputs {
            let room = Rc::clone(&room);
            // What is assigned in a processor is its own.
            let mut own = variables.clone();
            paths.push(Some(Box::pin(async move {
                let _place = room.acquire().await.expect("open");
                self.path(processor, input, &mut own, item).await
            })));
        }
        let mut results = vec![Value::Null; paths.len()];
        std::future::poll_fn(|context| {
            for (path, result) in paths.iter_mut().zip(&mut results) {
                let Some(future) = path else { continue };
                if let std::task::Poll::Ready(outcome) = future.as_mut().poll(context) {
                    match outcome {
                        Ok(output) => *result = output,
                        Err(failure) => return std::task::Poll::Ready(Err(failure)),
                    }
                    *path = None;
                }
            }
            match paths.iter().all(Option::is_none) {
                true => std::task::Poll::Ready(Ok(())),
                false => std::task::Poll::Pending,
            }
        })
        .await?;
        Ok(Value::Array(results))
    }
}

/// `Assign` and `Output` of a state, rule or catcher, both from the values before it; then `Next`.
fn leave(
    says: &Value,
    goes: &Value,
    states: Value,
    otherwise: Value,
    variables: &mut Variables,
) -> Result<Then, Failure> {
    let scope = scope(variables, &states);
    let assigned = match says.get("Assign") {
        Some(assign) => fill(assign, &scope).map_err(Failure::query)?,
        None => json!({}),
    };
    let output = match says.get("Output") {
        Some(output) => fill(output, &scope).map_err(Failure::query)?,
        None => otherwise,
    };
    if let Value::Object(assigned) = assigned {
        variables.extend(assigned);
    }
    if goes.get("End") == Some(&json!(true)) {
        return Ok(Then::Ended(output));
    }
    Ok(Then::Next(text(&goes["Next"]).to_owned(), output))
}

fn catch(state: &Value, states: Value, failure: Failure, variables: &mut Variables) -> Result<Then, Failure> {
    let catchers = state.get("Catch").map_or(&[][..], list);
    let Some(catcher) = catchers.iter().find(|catcher| matches(catcher, &failure.error)) else {
        return Err(failure);
    };
    only(
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

/// Whether a retrier or catcher is for an error (Step Functions guide, "Handling errors").
fn matches(handler: &Value, error: &str) -> bool {
    list(&handler["ErrorEquals"]).iter().map(text).any(|name| match name {
        "States.ALL" => !matches!(error, "States.DataLimitExceeded" | "States.Runtime"),
        "States.TaskFailed" => panic!("nobody uses States.TaskFailed"),
        name => name == error,
    })
}

fn scope(variables: &Variables, states: &Value) -> Variables {
    let mut scope = variables.clone();
    scope.insert("states".to_owned(), states.clone());
    scope
}

fn with(mut states: Value, name: &str, value: Value) -> Value {
    states[name] = value;
    states
}

fn only(what: &str, value: &Value, known: &[&str]) {
    let fields: &Map<String, Value> = value
        .as_object()
        .unwrap_or_else(|| panic!("{what} is no object: {value}"));
    for field in fields.keys() {
        assert!(
            known.contains(&field.as_str()),
            "{what}: nobody knows the field {field}"
        );
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
