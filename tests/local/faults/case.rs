//! What can go wrong where, and what must come of it.

use super::{
    call::Call,
    proxy::{Fault, Planned},
};
use std::fmt;

/// A run that a fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scenario {
    /// A fresh pair is onboarded.
    Onboard,
    /// A fresh pair whose scraper fails: the fault happens to the undo.
    Undo,
    /// An onboarded pair is offboarded.
    Offboard,
    /// An onboarded pair is onboarded again.
    Again,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Onboard, Self::Undo, Self::Offboard, Self::Again];

    /// Its name in the names of cases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onboard => "onboard",
            Self::Undo => "undo",
            Self::Offboard => "offboard",
            Self::Again => "again",
        }
    }
}

/// How long a fault goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Times {
    /// It happens to one call.
    Once,
    /// It happens to every call of its kind from then on. In an undo, which never gives up before
    /// an hour is over, it ends after some tries.
    Always,
}

/// The faults in the order of the table's columns, and their names.
pub const FAULTS: [(Fault, &str); 7] = [
    (Fault::Throttled, "throttled"),
    (Fault::Failed, "500"),
    (Fault::CutBefore, "cut-before"),
    (Fault::CutAfter, "cut-after"),
    (Fault::Denied, "denied"),
    (Fault::Slow, "slow"),
    (Fault::Killed, "killed"),
];

/// Seconds by the cloud's clock that a role made just now is not shown, in the case about that.
pub const UNSEEN_SECONDS: u32 = 30;

/// What goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// A fault of one call.
    OfCall {
        /// The call.
        call: Call,
        /// Which of its kind, from 1 on.
        occurrence: u32,
        /// What happens to it.
        fault: Fault,
        /// For how long.
        times: Times,
    },
    /// IAM does not show a role that was made just now.
    UnseenRoles,
}

/// A run and what goes wrong in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Case {
    /// The run.
    pub scenario: Scenario,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// How a run must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The pair is onboarded.
    Onboarded,
    /// The pair is offboarded.
    Offboarded,
    /// It fails under a name, and all is as before.
    Clean(&'static str),
    /// An offboarding fails under a name; what is left, the next one takes away.
    Left(&'static str),
}

impl End {
    /// What an execution that ended so says of itself.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Onboarded => "onboarded",
            Self::Offboarded => "offboarded",
            Self::Clean(name) | Self::Left(name) => name,
        }
    }
}

impl Case {
    /// How it may end: under the first, or as well under another.
    pub fn expected(&self) -> Vec<End> {
        let done = match self.scenario {
            Scenario::Undo => End::Clean("ScraperFailed"),
            Scenario::Offboard => End::Offboarded,
            Scenario::Onboard | Scenario::Again => End::Onboarded,
        };
        let Trouble::OfCall { call, fault, times, .. } = &self.trouble else {
            return vec![done];
        };
        // What cannot be looked at is told, and fails nothing.
        if call.function == "check-ingestion" {
            return vec![done];
        }
        let name = match (self.scenario, fault, times) {
            // An undo never gives up before the fault does.
            (Scenario::Undo, ..) => return vec![done],
            // A refusal is not retried: once is enough.
            (_, Fault::Denied, _) => "Refused",
            (_, _, Times::Once) => return vec![done],
            (_, Fault::Killed, _) => "Runtime.ExitError",
            _ => "Transient",
        };
        let failed = match self.scenario {
            Scenario::Offboard if call.function.starts_with("remove-") => End::Left(name),
            _ => End::Clean(name),
        };
        // What is done, though nobody hears so, is found done by the next try.
        if call.writes() && fault.has_effect() {
            return vec![failed, done];
        }
        vec![failed]
    }

    /// What the proxy is to do.
    pub fn planned(&self) -> Option<Planned> {
        let Trouble::OfCall {
            call,
            occurrence,
            fault,
            times,
        } = &self.trouble
        else {
            return None;
        };
        let many = match (self.scenario, fault) {
            // The undo's second try fails as well, or a third: the SDK itself tries three times.
            (Scenario::Undo, Fault::Denied | Fault::Killed) => 3,
            (Scenario::Undo, Fault::Slow) => 4,
            (Scenario::Undo, _) => 7,
            _ => u32::MAX,
        };
        Some(Planned {
            call: call.clone(),
            occurrence: *occurrence,
            fault: *fault,
            times: if *times == Times::Once { 1 } else { many },
        })
    }

    /// A guess at the seconds it takes, to begin with the longest.
    pub fn patience(&self) -> u32 {
        match &self.trouble {
            Trouble::OfCall {
                fault: Fault::Slow,
                times: Times::Always,
                ..
            } => 300,
            Trouble::OfCall { fault: Fault::Slow, .. } => 12,
            Trouble::OfCall {
                fault: Fault::Denied | Fault::Killed,
                ..
            } => 2,
            Trouble::OfCall {
                times: Times::Always, ..
            } => 15,
            _ => 3,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let scenario = self.scenario.name();
        match &self.trouble {
            Trouble::UnseenRoles => write!(to, "{scenario}/unseen-roles"),
            Trouble::OfCall {
                call,
                occurrence,
                fault,
                times,
            } => {
                write!(
                    to,
                    "{scenario}/{call}#{occurrence}/{}/{}",
                    fault_name(*fault),
                    times_name(*times)
                )
            }
        }
    }
}

/// A fault's name.
pub fn fault_name(fault: Fault) -> &'static str {
    FAULTS
        .iter()
        .find(|(known, _)| *known == fault)
        .map_or("", |(_, name)| name)
}

/// `once` or `always`.
pub fn times_name(times: Times) -> &'static str {
    match times {
        Times::Once => "once",
        Times::Always => "always",
    }
}

impl fmt::Display for End {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Onboarded | Self::Offboarded => to.write_str(self.name()),
            Self::Clean(name) => write!(to, "clean: {name}"),
            Self::Left(name) => write!(to, "left, then offboarded: {name}"),
        }
    }
}

/// The cases of a scenario, whose calls were learned from a run in which nothing went wrong.
///
/// What polls makes the same calls again and again, as often as time allows: of each call, so many
/// as every run makes are taken.
pub fn cases(scenario: Scenario, calls: &[Call]) -> Vec<Case> {
    let mut points: Vec<(Call, u32)> = Vec::new();
    for call in calls {
        let undoes = call.function.starts_with("remove-");
        if scenario == Scenario::Undo && !undoes {
            continue;
        }
        let most = if ["check-scraper", "remove-scraper"].contains(&call.function.as_str()) {
            2
        } else {
            u32::MAX
        };
        let occurrence = 1 + points.iter().filter(|(known, _)| known == call).count() as u32;
        if occurrence <= most {
            points.push((call.clone(), occurrence));
        }
    }
    let of_point = |(call, occurrence): (Call, u32)| {
        let columns = FAULTS
            .into_iter()
            .flat_map(|(fault, _)| [(fault, Times::Once), (fault, Times::Always)]);
        columns.map(move |(fault, times)| Trouble::OfCall {
            call: call.clone(),
            occurrence,
            fault,
            times,
        })
    };
    let troubles = points.into_iter().flat_map(of_point).chain([Trouble::UnseenRoles]);
    troubles.map(|trouble| Case { scenario, trouble }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(function: &str, operation: &str) -> Call {
        Call {
            function: function.to_owned(),
            service: "iam".to_owned(),
            operation: operation.to_owned(),
        }
    }

    #[test]
    fn every_call_meets_every_fault_once_and_always() {
        let calls = [
            call("ensure-source-role", "GetRole"),
            call("ensure-source-role", "GetRole"),
        ];
        let names: Vec<String> = cases(Scenario::Onboard, &calls).iter().map(Case::to_string).collect();
        assert_eq!(names.len(), 2 * 7 * 2 + 1);
        assert_eq!(names[0], "onboard/ensure-source-role/iam:GetRole#1/throttled/once");
        assert_eq!(names[27], "onboard/ensure-source-role/iam:GetRole#2/killed/always");
        assert_eq!(names[28], "onboard/unseen-roles");
    }

    #[test]
    fn of_what_polls_only_the_first_looks_are_taken_and_of_an_undo_only_what_undoes() {
        let look = call("remove-scraper", "ListScrapers");
        let calls = [
            call("check-cluster", "DescribeCluster"),
            look.clone(),
            look.clone(),
            look,
        ];
        assert_eq!(cases(Scenario::Undo, &calls).len(), 2 * 7 * 2 + 1);
    }

    #[test]
    fn a_refusal_is_never_retried_and_what_passes_is() {
        let ends = |scenario, call: Call, fault, times| {
            let trouble = Trouble::OfCall {
                call,
                occurrence: 1,
                fault,
                times,
            };
            let all = Case { scenario, trouble }.expected();
            all.iter().map(End::to_string).collect::<Vec<_>>().join(" or ")
        };
        let (reads, writes) = (
            call("ensure-source-role", "GetRole"),
            call("ensure-source-role", "CreateRole"),
        );
        let (finds, removes) = (
            call("find-pairs", "ListScrapers"),
            call("remove-source-role", "DeleteRole"),
        );
        for (scenario, call, fault, times, expected) in [
            (Scenario::Onboard, &reads, Fault::Denied, Times::Once, "clean: Refused"),
            (Scenario::Onboard, &reads, Fault::Slow, Times::Once, "onboarded"),
            (
                Scenario::Again,
                &reads,
                Fault::CutAfter,
                Times::Always,
                "clean: Transient",
            ),
            (
                Scenario::Onboard,
                &writes,
                Fault::CutBefore,
                Times::Always,
                "clean: Transient",
            ),
            (
                Scenario::Onboard,
                &writes,
                Fault::CutAfter,
                Times::Always,
                "clean: Transient or onboarded",
            ),
            (
                Scenario::Undo,
                &removes,
                Fault::Denied,
                Times::Always,
                "clean: ScraperFailed",
            ),
            (Scenario::Offboard, &finds, Fault::Denied, Times::Once, "clean: Refused"),
            (
                Scenario::Offboard,
                &removes,
                Fault::Failed,
                Times::Always,
                "left, then offboarded: Transient",
            ),
        ] {
            assert_eq!(ends(scenario, call.clone(), fault, times), expected);
        }
    }
}
