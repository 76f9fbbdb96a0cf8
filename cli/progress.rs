//! The states of an execution while it runs, and the command that follows it after an interruption.

use crate::{
    account::Account,
    execution::{self, Execution},
    terminal::{Activity, Report, clock},
};
use anyhow::{Context, Result};
use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// The interval between reads of an execution, in minutes of the cloud's clock.
const INTERVAL_MINUTES: f64 = 5.0 / 60.0;

/// The command that follows the current execution.
static FOLLOWED: Mutex<Option<String>> = Mutex::new(None);

/// The states of an execution that were printed so far.
#[derive(Debug, Default)]
pub struct States {
    printed: usize,
    polls: usize,
}

impl States {
    /// Prints a line for each state when it is entered first. Later iterations of a loop only update the progress line.
    /// `minute` is the number of real seconds in a minute of the cloud's clock, and `more` follows the current state.
    pub fn update(&mut self, now: &Execution, minute: f64, activity: &Activity, more: &str) {
        for (i, state) in now.states.iter().enumerate().skip(self.printed) {
            let first = !now.states[..i].iter().any(|earlier| earlier.name == state.name);
            if first && !state.name.ends_with('?') {
                activity.print(&format!("{}  {}", clock((state.at - now.began) / minute), state.name));
            }
            self.polls += usize::from(state.name == "Check scraper");
        }
        self.printed = now.states.len();
        let current = now.states.last().map_or("starting", |state| &state.name);
        let polls = match self.polls {
            0 => String::new(),
            polls => format!(", {polls} polls"),
        };
        activity.update(&format!("{}  {current}{polls}{more}", clock(now.seconds / minute)));
    }
}

/// How an execution is followed.
#[derive(Debug, Clone)]
pub struct Follow {
    /// The progress.
    pub report: Report,
    /// The number of real seconds in a minute of the cloud's clock: 60 in AWS.
    pub minute: f64,
    /// The options of `ampxa follow` after the ARN, such as those of a local cloud.
    pub options: String,
}

impl Follow {
    /// Prints the states of an execution until it ends.
    ///
    /// # Errors
    /// If the execution cannot be read.
    pub async fn to_end(&self, hub: &Account, arn: &str, what: &str) -> Result<Execution> {
        let command = format!("ampxa follow {arn}{}", self.options);
        set_followed(Some(command.clone()));
        let activity = self.report.start(what);
        let interval = Duration::from_secs_f64((INTERVAL_MINUTES * self.minute).clamp(0.1, 5.0));
        let mut states = States::default();
        let has_maps = arn.contains("-reconcile:");
        let execution = execution::watch(hub, arn, interval, async |now| {
            let items = match has_maps {
                true => items(hub, arn).await,
                false => None,
            };
            let more = items.map_or(String::new(), |(done, total)| format!(", {done} of {total} items"));
            states.update(now, self.minute, &activity, &more);
            Ok(())
        })
        .await
        .with_context(|| format!("the execution cannot be read; it may continue, follow it with `{command}`"))?;
        set_followed(None);
        let clock = clock(execution.seconds / self.minute);
        activity.finish_with(&format!("{clock}  {}", execution.status));
        Ok(execution)
    }
}

/// The finished and all items of the distributed Map states of an execution. `None` if it has none, or if they cannot
/// be read: the progress is then printed without them.
async fn items(hub: &Account, arn: &str) -> Option<(i64, i64)> {
    let sfn = hub.sfn();
    let runs = sfn.list_map_runs().execution_arn(arn).send().await.ok()?;
    let (mut done, mut total) = (0, 0);
    for run in runs.map_runs() {
        let described = sfn
            .describe_map_run()
            .map_run_arn(run.map_run_arn())
            .send()
            .await
            .ok()?;
        let counts = described.item_counts()?;
        done += counts.succeeded() + counts.failed() + counts.timed_out() + counts.aborted();
        total += counts.total();
    }
    (total > 0).then_some((done, total))
}

/// The command that follows the execution that is followed now.
pub fn followed() -> Option<String> {
    FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set_followed(command: Option<String>) {
    *FOLLOWED.lock().unwrap_or_else(PoisonError::into_inner) = command;
}
