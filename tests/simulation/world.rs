//! A hub, its executions and the simulated AWS, in virtual time. The set-up and its seed determine each run.

use crate::{
    aws::{
        Call, Cloud, Connection, Response, ServiceError, amp::Amp, eks_ec2::Cluster, hub_credentials, iam::Iam,
        locks::Locks,
    },
    faults::{Fault, INVOKE, Kind},
    invariants::{self, Snapshot},
    machine::{self, End, Failure},
    steps,
};
use ampxa::{Aws, aws::timeouts, pair::Pair};
use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    future::{Future, pending},
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, UNIX_EPOCH},
};
use tokio::{
    sync::{Notify, oneshot},
    task::{JoinHandle, LocalSet, spawn_local},
    time::{Instant, sleep, timeout},
};

/// The start time of a run, in seconds since the epoch.
const START_TIME: f64 = 1_800_000_000.0;
/// The creation time of the cluster, in seconds since the epoch.
pub const CLUSTER_CREATED_AT: f64 = 1_700_000_000.0;
/// The `Timeout` of the functions in the hub's template.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);
/// After this time no delayed call is pending any more.
const DRAIN_TIME: Duration = Duration::from_secs(120);

/// The parameters of a run.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    /// A number that is unique among the runs of the test.
    pub number: u64,
    /// Letters that no other test uses. The SDK counts retries by service and Region, for the whole process. So each
    /// run has its own Region, named after the test and the number.
    pub test: &'static str,
    /// The maximum latency of a request, and of a response.
    pub latency_ms: u64,
    /// The maximum lag of IAM's reads.
    pub iam_lag_ms: u64,
    /// Whether IAM's writes find a new role only when reads return it.
    pub iam_writes_lag: bool,
    /// The maximum lag of AMP's reads.
    pub list_lag_ms: u64,
    /// The maximum lag of Step Functions' reads.
    pub states_lag_ms: u64,
    /// Whether each invocation runs its step twice.
    pub twice: bool,
    /// Whether cluster and workspace are in one account.
    pub one_account: bool,
    /// The time that AMP takes to delete a scraper.
    pub deletion_duration: Duration,
    /// The time that AMP takes to update a scraper.
    pub update_duration: Duration,
    /// Whether AMP shows the former roles of a scraper until an update has ended.
    pub shows_former_roles: bool,
}

impl Setup {
    /// An AWS with strong consistency and a low latency.
    pub fn calm(test: &'static str, seed: u64) -> Self {
        Self {
            seed,
            number: seed,
            test,
            latency_ms: 20,
            iam_lag_ms: 0,
            iam_writes_lag: false,
            list_lag_ms: 0,
            states_lag_ms: 0,
            twice: false,
            one_account: false,
            deletion_duration: Duration::from_secs(50),
            update_duration: Duration::from_secs(120),
            shows_former_roles: false,
        }
    }

    pub fn epoch(&self, now: Duration) -> f64 {
        START_TIME + now.as_secs_f64()
    }

    fn region(&self) -> String {
        let mut letters = String::new();
        let mut number = self.number;
        for _ in 0..7 {
            letters.push((b'a' + (number % 26) as u8) as char);
            number /= 26;
        }
        format!("us-{}{letters}-1", self.test)
    }
}

/// One execution of a state machine.
#[derive(Debug)]
pub struct Execution {
    pub index: usize,
    pub arn: String,
    pub machine: String,
    pub input: Value,
    pub started: Duration,
    pub ended: Mutex<Option<(Duration, End)>>,
}

impl Execution {
    pub fn end(&self) -> Option<End> {
        self.ended.lock().unwrap().as_ref().map(|(_, end)| end.clone())
    }
}

/// One invocation of a function.
#[derive(Debug)]
pub struct Invocation {
    pub execution: Arc<Execution>,
    /// The state that invokes the function.
    pub state: String,
    killed: Notify,
}

/// The execution environment of a function: its clients and their cached credentials.
struct Sandbox {
    aws: Aws,
    current_invocation: Arc<Mutex<Option<Arc<Invocation>>>>,
}

/// A call that a function or a state machine made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordedCall {
    pub execution: usize,
    pub state: String,
    pub action: String,
}

pub struct State {
    pub random: fastrand::Rng,
    pub cloud: Cloud,
    pub faults: Vec<Fault>,
    pub calls: Vec<RecordedCall>,
    /// The successful calls that change a resource.
    pub writes: Vec<RecordedCall>,
    /// The resources at the time when an execution acquired the lock, by the execution's index.
    pub before: HashMap<usize, Snapshot>,
    /// The violated invariants.
    pub violations: Vec<String>,
    sandboxes: HashMap<&'static str, Vec<Sandbox>>,
}

pub struct World {
    pub setup: Setup,
    pub source: String,
    pub target: String,
    start: Instant,
    state: Mutex<State>,
    executions: Mutex<Vec<Arc<Execution>>>,
    machines: Mutex<Vec<JoinHandle<()>>>,
    invocations: Mutex<Vec<JoinHandle<()>>>,
    verbose: bool,
}

/// Runs one simulation to its end and returns the result of `test`. Panics if an invariant was violated.
pub fn simulate<T>(setup: &Setup, test: impl AsyncFnOnce(&Arc<World>) -> T) -> T {
    // The SDK draws the jitter of its retries from this generator.
    fastrand::seed(setup.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new(setup.clone());
        let result = test(&world).await;
        world.wait_until_idle().await;
        let violations = std::mem::take(&mut world.state().violations);
        assert!(
            violations.is_empty(),
            "seed {} of {}: {}",
            setup.seed,
            setup.test,
            violations.join("\n")
        );
        // A sandbox must not outlive the runtime.
        world.state().sandboxes.clear();
        result
    })
}

impl World {
    fn new(setup: Setup) -> Arc<Self> {
        let source = "222222222222".to_owned();
        let target = if setup.one_account {
            source.clone()
        } else {
            "333333333333".to_owned()
        };
        let region = setup.region();
        let cluster = format!("arn:aws:eks:{region}:{source}:cluster/demo");
        let cloud = Cloud {
            iam: [&source, &target]
                .map(|account| (account.clone(), Iam::default()))
                .into(),
            amp: Amp {
                workspaces: ["ws-1", "ws-2"]
                    .map(|id| format!("arn:aws:aps:{region}:{target}:workspace/{id}"))
                    .into(),
                ..Amp::default()
            },
            clusters: BTreeMap::from([(cluster, Cluster::new(CLUSTER_CREATED_AT))]),
            may_prepare_clusters: true,
            may_collect_logs: true,
            adoptable_roles: Vec::new(),
            denies_pair_roles: false,
            locks: Locks::default(),
            objects: std::collections::BTreeMap::new(),
            unreachable: std::collections::BTreeSet::new(),
            region,
        };
        Arc::new(Self {
            source,
            target,
            start: Instant::now(),
            state: Mutex::new(State {
                random: fastrand::Rng::with_seed(setup.seed),
                cloud,
                faults: Vec::new(),
                calls: Vec::new(),
                writes: Vec::new(),
                before: HashMap::new(),
                violations: Vec::new(),
                sandboxes: HashMap::new(),
            }),
            executions: Mutex::default(),
            machines: Mutex::default(),
            invocations: Mutex::default(),
            verbose: std::env::var("AMPXA_SEED").is_ok(),
            setup,
        })
    }

    pub fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    pub fn epoch(&self, at: Duration) -> f64 {
        self.setup.epoch(at)
    }

    pub fn random_fraction(&self) -> f64 {
        self.state().random.f64()
    }

    /// The pair of the cluster and its n-th workspace, counted from 1.
    pub fn pair(&self, workspace: usize) -> Pair {
        let region = self.setup.region();
        let cluster = format!("arn:aws:eks:{region}:{}:cluster/demo", self.source);
        let workspace = format!("arn:aws:aps:{region}:{}:workspace/ws-{workspace}", self.target);
        Pair {
            cluster: cluster.parse().expect("an ARN"),
            workspace: workspace.parse().expect("an ARN"),
        }
    }

    /// The minimal request for the n-th pair.
    pub fn request(&self, workspace: usize) -> Value {
        let pair = self.pair(workspace);
        json!({ "clusterArn": pair.cluster.to_string(), "workspaceArn": pair.workspace.to_string() })
    }

    pub fn execution(&self, arn: &str) -> Option<Arc<Execution>> {
        let all = self.executions.lock().unwrap();
        all.iter().find(|execution| execution.arn == arn).cloned()
    }

    /// Prints a line of the trace if `AMPXA_SEED` selects one seed.
    pub fn trace(&self, execution: &Execution, message: impl FnOnce() -> String) {
        if self.verbose {
            let now = self.now().as_secs_f64();
            eprintln!("{now:>10.3}  {}  {}", execution.index, message());
        }
    }

    /// Starts an execution of a machine.
    pub fn start(self: &Arc<Self>, machine: &str, input: Value) -> Arc<Execution> {
        let execution = {
            let mut all = self.executions.lock().unwrap();
            let index = all.len();
            let region = self.setup.region();
            let execution = Arc::new(Execution {
                index,
                arn: format!("arn:aws:states:{region}:111111111111:execution:ampxa-{machine}:{index}"),
                machine: machine.to_owned(),
                input,
                started: self.now(),
                ended: Mutex::default(),
            });
            all.push(Arc::clone(&execution));
            execution
        };
        self.trace(&execution, || format!("{machine} {}", execution.input));
        let (world, run) = (Arc::clone(self), Arc::clone(&execution));
        let machine = machine_of(machine);
        self.machines.lock().unwrap().push(spawn_local(async move {
            let end = machine::run(Arc::clone(&world), machine, Arc::clone(&run)).await;
            world.end(&run, end);
        }));
        execution
    }

    /// Stops an execution. A function that it invoked continues to run.
    pub fn stop(&self, execution: &Arc<Execution>) {
        self.machines.lock().unwrap()[execution.index].abort();
        self.end(execution, End::Aborted);
    }

    fn end(&self, execution: &Arc<Execution>, end: End) {
        {
            let mut ended = execution.ended.lock().unwrap();
            if ended.is_some() {
                return;
            }
            *ended = Some((self.now(), end.clone()));
        }
        self.trace(execution, || format!("{end:?}"));
        let violations = invariants::after_execution(self, execution, &end);
        let mut state = self.state();
        for violation in violations {
            let arn = &execution.arn;
            state
                .violations
                .push(format!("at the end of {arn} ({end:?}): {violation}"));
        }
    }

    /// Waits until every execution and every invocation has ended, and no delayed call is pending.
    pub async fn wait_until_idle(&self) {
        loop {
            let Some(machine) = self.next_running_machine() else {
                break;
            };
            if let Err(error) = machine.await
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        let invocations = std::mem::take(&mut *self.invocations.lock().unwrap());
        for invocation in invocations {
            if let Err(error) = invocation.await {
                std::panic::resume_unwind(error.into_panic());
            }
        }
        sleep(DRAIN_TIME).await;
    }

    /// The task of an execution that has not ended. A finished task replaces it, so that the indexes stay valid.
    fn next_running_machine(&self) -> Option<JoinHandle<()>> {
        let mut machines = self.machines.lock().unwrap();
        let all = self.executions.lock().unwrap();
        let running = all
            .iter()
            .position(|execution| execution.ended.lock().unwrap().is_none())?;
        let replacement = spawn_local(async {});
        Some(std::mem::replace(&mut machines[running], replacement))
    }

    /// Invokes a function as Step Functions does.
    pub fn invoke(
        self: &Arc<Self>,
        execution: &Arc<Execution>,
        state: &str,
        function: &str,
        payload: Value,
    ) -> impl Future<Output = Result<Value, Failure>> + use<> {
        let (world, execution) = (Arc::clone(self), Arc::clone(execution));
        let (state, step) = (state.to_owned(), steps::step(function));
        async move {
            let fault = world.record_call(&execution, &state, INVOKE);
            match fault {
                Some(Kind::Throttled) => return Err(Failure::new("Lambda.TooManyRequestsException", "Rate exceeded")),
                Some(Kind::ServerError) => return Err(Failure::new("Lambda.ServiceException", "Service exception")),
                Some(Kind::DisconnectedBefore) => {
                    return Err(Failure::new("Lambda.SdkClientException", "Connection reset"));
                }
                Some(Kind::AccessDenied) => return Err(Failure::new("Lambda.AccessDeniedException", "Not authorized")),
                Some(Kind::KilledBefore) => return Err(killed()),
                _ => {}
            }
            // An invocation continues to run after its execution was stopped or the task timed out.
            let (sender, receiver) = oneshot::channel();
            let invoked = Arc::clone(&world);
            let task = spawn_local(async move {
                let outcome = invoked.run_function(&execution, state, step, payload).await;
                // The receiver may not exist any more.
                let _ = sender.send(outcome);
            });
            world.invocations.lock().unwrap().push(task);
            let outcome = receiver.await.expect("a function that does not panic");
            match fault {
                Some(Kind::DisconnectedAfter) => Err(Failure::new("Lambda.SdkClientException", "Connection reset")),
                Some(Kind::KilledAfter) => Err(killed()),
                Some(Kind::NoResponse) => pending().await,
                _ => outcome,
            }
        }
    }

    /// Runs one invocation of a function in a sandbox: a warm one if possible.
    async fn run_function(
        self: &Arc<Self>,
        execution: &Arc<Execution>,
        state: String,
        step: &'static str,
        payload: Value,
    ) -> Result<Value, Failure> {
        sleep(self.latency()).await;
        let invocation = Arc::new(Invocation {
            execution: Arc::clone(execution),
            state,
            killed: Notify::new(),
        });
        let warm = self.state().sandboxes.get_mut(step).and_then(Vec::pop);
        let sandbox = warm.unwrap_or_else(|| self.sandbox(step));
        *sandbox.current_invocation.lock().unwrap() = Some(Arc::clone(&invocation));
        self.trace(execution, || format!("  {step}"));
        let once = || {
            let now = UNIX_EPOCH + Duration::from_secs_f64(self.epoch(self.now()));
            steps::run(step, &sandbox.aws, payload.clone(), now)
        };
        let work = async {
            let first = Box::pin(once()).await;
            match first {
                Ok(_) if self.setup.twice => Box::pin(once()).await,
                outcome => outcome,
            }
        };
        let outcome = tokio::select! {
            biased;
            () = invocation.killed.notified() => None,
            outcome = timeout(FUNCTION_TIMEOUT, work) => Some(outcome),
        };
        let Some(outcome) = outcome else {
            return Err(killed());
        };
        let Ok(outcome) = outcome else {
            let message = "Error: Task timed out after 60.00 seconds";
            return Err(lambda_error("Sandbox.Timedout", message));
        };
        self.state().sandboxes.entry(step).or_default().push(sandbox);
        self.trace(execution, || match &outcome {
            Ok(output) => format!("  = {output}"),
            Err(error) => format!("  ! {}: {error}", error.name()),
        });
        outcome.map_err(|error| lambda_error(error.name(), &error.to_string()))
    }

    /// A new sandbox, with clients that are connected to the simulated AWS.
    fn sandbox(self: &Arc<Self>, step: &'static str) -> Sandbox {
        let current_invocation = Arc::new(Mutex::new(None));
        let connection = Connection {
            world: Arc::downgrade(self),
            current_invocation: Arc::clone(&current_invocation),
        };
        let config = timeouts()
            .into_builder()
            .region(Region::new(self.setup.region()))
            .credentials_provider(SharedCredentialsProvider::new(hub_credentials()))
            .http_client(connection)
            .build();
        let aws = Aws::new(config, step);
        Sandbox {
            aws: match steps::WRITING.contains(&step) {
                true => aws.writing(),
                false => aws,
            },
            current_invocation,
        }
    }

    fn latency(&self) -> Duration {
        Duration::from_millis(self.state().random.u64(1..=self.setup.latency_ms))
    }

    /// Records a call, and returns the planned fault that applies to it.
    fn record_call(&self, execution: &Execution, state_name: &str, action: &str) -> Option<Kind> {
        let mut state = self.state();
        state.calls.push(RecordedCall {
            execution: execution.index,
            state: state_name.to_owned(),
            action: action.to_owned(),
        });
        let mut injected = None;
        for fault in &mut state.faults {
            if fault.applies_to(execution.index, state_name, action) {
                injected = Some(fault.kind);
            }
        }
        drop(state);
        if let Some(kind) = injected {
            self.trace(execution, || format!("    {action}: fault {kind:?}"));
        }
        injected
    }

    /// Sends a call with latency and faults, and returns the response; `None` if the connection is lost.
    pub async fn send(self: &Arc<Self>, invocation: &Arc<Invocation>, call: Call) -> Option<Response> {
        let fault = self.record_call(&invocation.execution, &invocation.state, &call.action);
        sleep(self.latency()).await;
        if let Some(response) = fault.and_then(|kind| kind.error_response(&call)) {
            return Some(response);
        }
        match fault {
            Some(Kind::DisconnectedBefore) => return None,
            Some(Kind::KilledBefore) => self.kill(invocation).await,
            Some(Kind::NoResponse) => {
                let delay = Duration::from_millis(self.state().random.u64(..20_000));
                let (world, invocation, call) = (Arc::clone(self), Arc::clone(invocation), call.clone());
                drop(tokio::spawn(async move {
                    sleep(delay).await;
                    world.handle(&invocation, &call);
                }));
                pending().await
            }
            _ => {}
        }
        let response = self.handle(invocation, &call);
        match fault {
            Some(Kind::DisconnectedAfter) => return None,
            Some(Kind::KilledAfter) => self.kill(invocation).await,
            _ => {}
        }
        sleep(self.latency()).await;
        Some(response)
    }

    /// Kills the function of an invocation. Never returns.
    async fn kill(&self, invocation: &Invocation) {
        invocation.killed.notify_one();
        pending().await
    }

    /// Lets a call take effect, and checks the invariants after it.
    fn handle(&self, invocation: &Invocation, call: &Call) -> Response {
        let now = self.now();
        let execution = &invocation.execution;
        let mut guard = self.state();
        let state = &mut *guard;
        let result = state.cloud.handle(call, self, &mut state.random, now);
        if result.is_ok() && call.writes() {
            state.writes.push(RecordedCall {
                execution: execution.index,
                state: invocation.state.clone(),
                action: call.action.clone(),
            });
            let violations = invariants::after_write(self, &state.cloud, invocation, call, now);
            let prefix = format!("{now:?}: {} in {}", call.action, execution.arn);
            let violations = violations.into_iter().map(|violation| format!("{prefix}: {violation}"));
            state.violations.extend(violations);
        }
        if result.is_ok() && call.action == "PutItem" && !state.before.contains_key(&execution.index) {
            let snapshot = Snapshot::of(&state.cloud, now);
            state.before.insert(execution.index, snapshot);
        }
        drop(guard);
        self.trace(execution, || {
            let result = match &result {
                Ok(_) => "succeeded".to_owned(),
                Err(ServiceError(_, code, message)) => format!("{code} {message}"),
            };
            format!("    {}:{} {} → {result}", call.service, call.action, call.resource())
        });
        Response::of(&call.service, result)
    }
}

/// The definition of a state machine, by the name of its file.
pub fn machine_of(name: &str) -> Arc<Value> {
    static MACHINES: OnceLock<BTreeMap<&'static str, Arc<Value>>> = OnceLock::new();
    let machines = MACHINES.get_or_init(|| {
        ["onboard", "offboard"]
            .map(|name| (name, Arc::new(support::machine(name))))
            .into()
    });
    Arc::clone(&machines[name])
}

/// The error of a function, as Lambda returns it to Step Functions.
fn lambda_error(name: &str, message: &str) -> Failure {
    Failure::new(name, json!({ "errorType": name, "errorMessage": message }).to_string())
}

/// The error of a function that was killed.
fn killed() -> Failure {
    lambda_error("Runtime.ExitError", "Error: Runtime exited with error: signal: killed")
}
