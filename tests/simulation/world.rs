//! A hub, its executions and the simulated AWS, in virtual time: everything that happens follows
//! from the set-up and its seed.

use crate::{
    aws::{Answer, Call, Cloud, Connection, amp::Amp, hub_credentials, iam::Iam, locks::Turns},
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

/// When a run begins, in seconds since the epoch.
const BEGIN: f64 = 1_800_000_000.0;
/// When the cluster was made.
pub const CLUSTER_MADE: f64 = 1_700_000_000.0;
/// The `Timeout` of the functions in the template.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(60);
/// After this nothing of a call, however slow, is under way.
const ALL_QUIET: Duration = Duration::from_secs(120);

/// What a run begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    pub seed: u64,
    /// One that no other run of the test has.
    pub number: u64,
    /// Letters that no other test uses: the SDK counts retries by service and Region, for the whole
    /// process, so each run has a Region of its own.
    pub test: &'static str,
    /// The most that a call takes on its way there, and back.
    pub latency_ms: u64,
    /// How far IAM's reads lag behind at most.
    pub iam_lag_ms: u64,
    /// Whether IAM's writes find a new role no sooner than its reads.
    pub iam_writes_lag: bool,
    /// How far AMP's reads lag behind at most.
    pub list_lag_ms: u64,
    /// How far Step Functions' reads lag behind at most.
    pub states_lag_ms: u64,
    /// Whether each function is invoked twice.
    pub twice: bool,
    /// Whether cluster and workspace are in one account.
    pub one_account: bool,
    /// How long AMP takes to delete a scraper.
    pub deleting: Duration,
}

impl Setup {
    /// A cloud where everything is there at once and nothing takes long.
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
            deleting: Duration::from_secs(50),
        }
    }

    pub fn epoch(&self, now: Duration) -> f64 {
        BEGIN + now.as_secs_f64()
    }

    fn region(&self) -> String {
        let mut letters = String::new();
        let mut rest = self.number;
        for _ in 0..7 {
            letters.push((b'a' + (rest % 26) as u8) as char);
            rest /= 26;
        }
        format!("us-{}{letters}-1", self.test)
    }
}

/// One execution of a machine.
#[derive(Debug)]
pub struct Execution {
    pub index: usize,
    pub arn: String,
    pub machine: String,
    pub input: Value,
    pub began: Duration,
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
    /// The state that invokes it.
    pub state: String,
    killed: Notify,
}

/// A function's memory: its clients and the credentials it keeps.
struct Sandbox {
    aws: Aws,
    serves: Arc<Mutex<Option<Arc<Invocation>>>>,
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Made {
    pub execution: usize,
    pub state: String,
    pub action: String,
}

pub struct State {
    pub random: fastrand::Rng,
    pub cloud: Cloud,
    pub faults: Vec<Fault>,
    pub calls: Vec<Made>,
    /// Calls that changed something, by execution.
    pub writes: Vec<Made>,
    /// What stood where an execution began its turn.
    pub before: HashMap<usize, Snapshot>,
    /// What should never be.
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
    aloud: bool,
}

/// Runs one simulation to its end and hands out what `play` does; panics if anything was violated.
pub fn simulate<T>(setup: &Setup, play: impl AsyncFnOnce(&Arc<World>) -> T) -> T {
    // The SDK draws its back-off from here.
    fastrand::seed(setup.seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let world = World::new(setup.clone());
        let played = play(&world).await;
        world.rest().await;
        let violations = std::mem::take(&mut world.state().violations);
        assert!(
            violations.is_empty(),
            "seed {} of {}: {}",
            setup.seed,
            setup.test,
            violations.join("\n")
        );
        // A sandbox may not outlive the runtime.
        world.state().sandboxes.clear();
        played
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
            clusters: BTreeMap::from([(cluster, CLUSTER_MADE)]),
            turns: Turns::default(),
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
            aloud: std::env::var("AMPXA_SEED").is_ok(),
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

    /// The cluster with its n-th workspace, from 1.
    pub fn pair(&self, workspace: usize) -> Pair {
        let region = self.setup.region();
        let arn = |text: String| text;
        Pair {
            cluster: arn(format!("arn:aws:eks:{region}:{}:cluster/demo", self.source))
                .parse()
                .expect("an ARN"),
            workspace: arn(format!("arn:aws:aps:{region}:{}:workspace/ws-{workspace}", self.target))
                .parse()
                .expect("an ARN"),
        }
    }

    /// The least request for the n-th pair.
    pub fn request(&self, workspace: usize) -> Value {
        let pair = self.pair(workspace);
        json!({ "clusterArn": pair.cluster.to_string(), "workspaceArn": pair.workspace.to_string() })
    }

    pub fn execution(&self, arn: &str) -> Option<Arc<Execution>> {
        let all = self.executions.lock().unwrap();
        all.iter().find(|execution| execution.arn == arn).cloned()
    }

    /// Prints what happens, when one seed is looked at.
    pub fn say(&self, execution: &Execution, what: impl FnOnce() -> String) {
        if self.aloud {
            let now = self.now().as_secs_f64();
            eprintln!("{now:>10.3}  {}  {}", execution.index, what());
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
                began: self.now(),
                ended: Mutex::default(),
            });
            all.push(Arc::clone(&execution));
            execution
        };
        self.say(&execution, || format!("{machine} {}", execution.input));
        let (world, run) = (Arc::clone(self), Arc::clone(&execution));
        let machine = machine_of(machine);
        self.machines.lock().unwrap().push(spawn_local(async move {
            let end = machine::run(Arc::clone(&world), machine, Arc::clone(&run)).await;
            world.end(&run, end);
        }));
        execution
    }

    /// Stops an execution; a function that it invoked goes on.
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
        self.say(execution, || format!("{end:?}"));
        let found = invariants::at_the_end(self, execution, &end);
        let mut state = self.state();
        for violation in found {
            let who = &execution.arn;
            state
                .violations
                .push(format!("at the end of {who} ({end:?}): {violation}"));
        }
    }

    /// Waits until every execution has ended and nothing is under way.
    pub async fn rest(&self) {
        loop {
            let Some(machine) = self.take_machine() else { break };
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
        sleep(ALL_QUIET).await;
    }

    /// A machine that has not been waited for; its place stays taken.
    fn take_machine(&self) -> Option<JoinHandle<()>> {
        let mut machines = self.machines.lock().unwrap();
        let all = self.executions.lock().unwrap();
        let open = all
            .iter()
            .position(|execution| execution.ended.lock().unwrap().is_none())?;
        let place = spawn_local(async {});
        Some(std::mem::replace(&mut machines[open], place))
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
            let fault = world.meet(&execution, &state, INVOKE);
            match fault {
                Some(Kind::Throttled) => return Err(Failure::new("Lambda.TooManyRequestsException", "Rate exceeded")),
                Some(Kind::Broken) => return Err(Failure::new("Lambda.ServiceException", "Service exception")),
                Some(Kind::CutBefore) => return Err(Failure::new("Lambda.SdkClientException", "Connection reset")),
                Some(Kind::Denied) => return Err(Failure::new("Lambda.AccessDeniedException", "Not authorized")),
                Some(Kind::KilledBefore) => return Err(killed()),
                _ => {}
            }
            // What was invoked runs on, whatever becomes of who waits for it.
            let (tell, told) = oneshot::channel();
            let serving = Arc::clone(&world);
            let task = spawn_local(async move {
                let outcome = serving.serve(&execution, state, step, payload).await;
                // Nobody may be left to listen.
                let _ = tell.send(outcome);
            });
            world.invocations.lock().unwrap().push(task);
            let outcome = told.await.expect("a function that does not panic");
            match fault {
                Some(Kind::CutAfter) => Err(Failure::new("Lambda.SdkClientException", "Connection reset")),
                Some(Kind::KilledAfter) => Err(killed()),
                Some(Kind::Slow) => pending().await,
                _ => outcome,
            }
        }
    }

    async fn serve(
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
        *sandbox.serves.lock().unwrap() = Some(Arc::clone(&invocation));
        self.say(execution, || format!("  {step}"));
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
            let why = "Error: Task timed out after 60.00 seconds";
            return Err(lambda_error("Sandbox.Timedout", why));
        };
        self.state().sandboxes.entry(step).or_default().push(sandbox);
        self.say(execution, || match &outcome {
            Ok(answer) => format!("  = {answer}"),
            Err(error) => format!("  ! {}: {error}", error.name()),
        });
        outcome.map_err(|error| lambda_error(error.name(), &error.to_string()))
    }

    fn sandbox(self: &Arc<Self>, step: &'static str) -> Sandbox {
        let serves = Arc::new(Mutex::new(None));
        let connection = Connection {
            world: Arc::downgrade(self),
            serves: Arc::clone(&serves),
        };
        let config = timeouts()
            .into_builder()
            .region(Region::new(self.setup.region()))
            .credentials_provider(SharedCredentialsProvider::new(hub_credentials()))
            .http_client(connection)
            .build();
        Sandbox {
            aws: Aws::new(config, step),
            serves,
        }
    }

    fn latency(&self) -> Duration {
        Duration::from_millis(self.state().random.u64(1..=self.setup.latency_ms))
    }

    fn meet(&self, execution: &Execution, at: &str, action: &str) -> Option<Kind> {
        let mut state = self.state();
        state.calls.push(Made {
            execution: execution.index,
            state: at.to_owned(),
            action: action.to_owned(),
        });
        let mut struck = None;
        for fault in &mut state.faults {
            if fault.strikes(execution.index, at, action) {
                struck = Some(fault.kind);
            }
        }
        drop(state);
        if let Some(kind) = struck {
            self.say(execution, || format!("    {action} is {kind:?}"));
        }
        struck
    }

    /// A call on its way there and back; `None` when the connection is lost.
    pub async fn converse(self: &Arc<Self>, invocation: &Arc<Invocation>, call: Call) -> Option<Answer> {
        let fault = self.meet(&invocation.execution, &invocation.state, &call.action);
        sleep(self.latency()).await;
        if let Some(refusal) = fault.and_then(|kind| kind.refusal(&call)) {
            return Some(refusal);
        }
        match fault {
            Some(Kind::CutBefore) => return None,
            Some(Kind::KilledBefore) => self.kill(invocation).await,
            Some(Kind::Slow) => {
                let late = Duration::from_millis(self.state().random.u64(..20_000));
                let (world, invocation, call) = (Arc::clone(self), Arc::clone(invocation), call.clone());
                drop(tokio::spawn(async move {
                    sleep(late).await;
                    world.take(&invocation, &call);
                }));
                pending().await
            }
            _ => {}
        }
        let answer = self.take(invocation, &call);
        match fault {
            Some(Kind::CutAfter) => return None,
            Some(Kind::KilledAfter) => self.kill(invocation).await,
            _ => {}
        }
        sleep(self.latency()).await;
        Some(answer)
    }

    async fn kill(&self, invocation: &Invocation) {
        invocation.killed.notify_one();
        pending().await
    }

    /// A call's effect, and what must hold after it.
    fn take(&self, invocation: &Invocation, call: &Call) -> Answer {
        let now = self.now();
        let execution = &invocation.execution;
        let mut guard = self.state();
        let state = &mut *guard;
        let answered = state.cloud.take(call, self, &mut state.random, now);
        if answered.is_ok() && call.writes() {
            state.writes.push(Made {
                execution: execution.index,
                state: invocation.state.clone(),
                action: call.action.clone(),
            });
            let found = invariants::after_a_write(self, &state.cloud, invocation, call, now);
            let place = format!("{now:?}: {} in {}", call.action, execution.arn);
            let found = found.into_iter().map(|violation| format!("{place}: {violation}"));
            state.violations.extend(found);
        }
        if answered.is_ok() && call.action == "PutItem" && !state.before.contains_key(&execution.index) {
            let snapshot = Snapshot::of(&state.cloud, now);
            state.before.insert(execution.index, snapshot);
        }
        drop(guard);
        self.say(execution, || {
            let said = match &answered {
                Ok(_) => "done".to_owned(),
                Err(refusal) => format!("{} {}", refusal.1, refusal.2),
            };
            format!("    {}:{} {} → {said}", call.service, call.action, call.subject())
        });
        Answer::of(&call.service, answered)
    }
}

/// A machine of the project, by the name of its file.
pub fn machine_of(name: &str) -> Arc<Value> {
    static MACHINES: OnceLock<BTreeMap<&'static str, Arc<Value>>> = OnceLock::new();
    let machines = MACHINES.get_or_init(|| {
        ["onboard", "offboard"]
            .map(|name| (name, Arc::new(support::machine(name))))
            .into()
    });
    Arc::clone(&machines[name])
}

/// A function's error, as Lambda hands it to Step Functions.
fn lambda_error(name: &str, message: &str) -> Failure {
    Failure::new(name, json!({ "errorType": name, "errorMessage": message }).to_string())
}

fn killed() -> Failure {
    lambda_error("Runtime.ExitError", "Error: Runtime exited with error: signal: killed")
}
