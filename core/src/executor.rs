//! `[core] executor`: which executors there are, by which names tasks may ask for them, and whose task goes where.
//!
//! Mirrors `airflow/executors/executor_loader.py` and `SchedulerJobRunner._try_to_load_executor`.

use std::collections::BTreeSet;

/// Class path of the local executor.
pub const LOCAL_PATH: &str = "airflow.executors.local_executor.LocalExecutor";

/// The executors that may be named without their module.
const CORE: [(&str, &str); 3] = [
    ("LocalExecutor", LOCAL_PATH),
    ("CeleryExecutor", "airflow.providers.celery.executors.celery_executor.CeleryExecutor"),
    (
        "KubernetesExecutor",
        "airflow.providers.cncf.kubernetes.executors.kubernetes_executor.KubernetesExecutor",
    ),
];

/// Whether Dags belong to teams (`[core] multi_team`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teams {
    /// They do.
    On,
    /// They do not; executors of teams are ignored.
    Off,
}

/// One entry of the option (`ExecutorName`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutorName {
    /// The name that the deployment gave it; for an executor of Airflow itself, its class.
    pub alias: Option<String>,
    /// Module and class.
    pub module_path: String,
    /// The only team that may use it; none for everybody.
    pub team: Option<String>,
}

impl ExecutorName {
    /// The class without its module.
    pub fn class_name(&self) -> &str {
        self.module_path.rsplit('.').next().unwrap_or_default()
    }

    /// The name for people: the alias, else the class path.
    pub fn shown(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.module_path)
    }

    /// Whether it is Airflow's own local executor.
    pub fn is_local(&self) -> bool {
        self.module_path == LOCAL_PATH
    }

    /// Whether a task that asks for this name means it.
    pub fn answers_to(&self, name: &str) -> bool {
        self.alias.as_deref() == Some(name) || self.module_path == name || self.class_name() == name
    }
}

/// A place in the [`Roster`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ExecutorIndex(pub usize);

/// The configured executors, in order; the first is everybody's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    names: Vec<ExecutorName>,
    /// Entries of teams that are ignored because there are no teams.
    pub ignored: Vec<String>,
}

/// Why an option cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// There is nothing in it.
    #[error("[core] executor is empty: name an executor, such as LocalExecutor")]
    Empty,
    /// An entry that is neither a known name nor `alias:module.Class`.
    #[error(
        "[core] executor has `{0}`, which is not understood: write a class path, `alias:module.Class`, LocalExecutor, CeleryExecutor or KubernetesExecutor"
    )]
    Entry(String),
    /// A list for a team that is not `team=executors`.
    #[error("[core] executor has `{0}`, which is not understood: write `team=Executor,Executor`")]
    TeamEntry(String),
    /// The same class twice.
    #[error("[core] executor names `{0}` twice: an executor can be there once, and once per team")]
    Twice(String),
    /// The same team twice.
    #[error("[core] executor has two lists for {0}: put them into one")]
    TeamTwice(String),
    /// Only teams have executors.
    #[error(
        "[core] executor has executors of teams only: begin with one for everybody, such as `CeleryExecutor;team1=LocalExecutor`"
    )]
    NoGlobal,
    /// Everybody's executors come after a team's.
    #[error(
        "[core] executor has everybody's executors after a team's: put them first, such as `CeleryExecutor;team1=LocalExecutor`"
    )]
    GlobalLater,
}

impl Roster {
    /// Reads `CeleryExecutor,alias:module.Class;team=Executor`.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what may be there.
    pub fn parse(option: &str, teams: Teams) -> Result<Self, RosterError> {
        if option.trim().is_empty() {
            return Err(RosterError::Empty);
        }
        let mut roster = Self::default();
        let mut seen: BTreeSet<Option<String>> = BTreeSet::new();
        for list in option.split(';') {
            let (team, entries) = match list.split_once('=') {
                None => (None, list),
                Some(("", entries)) => (None, entries.trim_matches('=')),
                Some(_) if teams == Teams::Off => {
                    roster.ignored.push(list.to_owned());
                    continue;
                }
                Some((_, entries)) if entries.contains('=') => {
                    return Err(RosterError::TeamEntry(list.to_owned()));
                }
                Some((team, entries)) => (Some(team.to_owned()), entries),
            };
            if team.is_none() && seen.iter().any(Option::is_some) {
                return Err(RosterError::GlobalLater);
            }
            if !seen.insert(team.clone()) {
                return Err(RosterError::TeamTwice(
                    team.map_or_else(|| "everybody".to_owned(), |team| format!("team `{team}`")),
                ));
            }
            roster.add(team.as_deref(), entries)?;
        }
        if seen.contains(&None) { Ok(roster) } else { Err(RosterError::NoGlobal) }
    }

    fn add(&mut self, team: Option<&str>, entries: &str) -> Result<(), RosterError> {
        let first = self.names.len();
        for entry in entries.split(',').map(str::trim) {
            let (alias, path) = entry_parts(entry).ok_or_else(|| RosterError::Entry(entry.to_owned()))?;
            if self.names.iter().skip(first).any(|known| known.module_path == path) {
                return Err(RosterError::Twice(path));
            }
            self.names.push(ExecutorName { alias, module_path: path, team: team.map(str::to_owned) });
        }
        Ok(())
    }

    /// Every executor with its place.
    pub fn iter(&self) -> impl Iterator<Item = (ExecutorIndex, &ExecutorName)> {
        self.names.iter().enumerate().map(|(index, name)| (ExecutorIndex(index), name))
    }

    /// The entry at a place.
    pub fn get(&self, index: ExecutorIndex) -> Option<&ExecutorName> {
        self.names.get(index.0)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Only the local executor.
    pub fn local() -> Self {
        let local = ExecutorName {
            alias: Some("LocalExecutor".to_owned()),
            module_path: LOCAL_PATH.to_owned(),
            team: None,
        };
        Self { names: vec![local], ignored: Vec::new() }
    }

    /// The executor that stands for an entry: all local ones are one, the worker.
    pub fn stands_for(&self, index: ExecutorIndex) -> ExecutorIndex {
        match self.get(index) {
            Some(name) if name.is_local() => {
                self.iter().find(|(_, known)| known.is_local()).map_or(index, |(first, _)| first)
            }
            _ => index,
        }
    }

    /// Where the work of a Dag of `team` goes that asks for `name`; none when there is no such executor for it.
    pub fn resolve(&self, name: Option<&str>, team: Option<&str>) -> Option<ExecutorIndex> {
        let team = team.filter(|team| !team.is_empty());
        let Some(name) = name else {
            let of_team =
                team.and_then(|team| self.iter().find(|(_, known)| known.team.as_deref() == Some(team)));
            return of_team.or_else(|| self.iter().next()).map(|(index, _)| self.stands_for(index));
        };
        let fits = |known: &ExecutorName| {
            known.answers_to(name) && (known.team.is_none() || known.team.as_deref() == team)
        };
        self.iter().find(|(_, known)| fits(known)).map(|(index, _)| self.stands_for(index))
    }
}

/// Alias and class path of one entry.
fn entry_parts(entry: &str) -> Option<(Option<String>, String)> {
    let known =
        |name: &str| CORE.iter().find(|(short, _)| *short == name).map(|(_, path)| (*path).to_owned());
    match entry.split(':').collect::<Vec<_>>()[..] {
        [name] => match known(name) {
            Some(path) => Some((Some(name.to_owned()), path)),
            None => name.contains('.').then(|| (None, name.to_owned())),
        },
        [alias, name] => {
            let path = known(name).or_else(|| name.contains('.').then(|| name.to_owned()))?;
            Some((Some(alias.to_owned()), path))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roster(option: &str) -> Roster {
        Roster::parse(option, Teams::On).unwrap()
    }

    #[test]
    fn an_executor_goes_by_its_alias_its_path_and_its_class() {
        let roster = roster("LocalExecutor,mine:house.executors.MyExecutor,house.other.Other");
        for name in ["mine", "house.executors.MyExecutor", "MyExecutor"] {
            assert_eq!(roster.resolve(Some(name), None), Some(ExecutorIndex(1)), "{name}");
        }
        assert_eq!(roster.resolve(Some("Other"), None), Some(ExecutorIndex(2)));
        assert_eq!(roster.resolve(None, None), Some(ExecutorIndex(0)));
        assert_eq!(roster.resolve(Some("CeleryExecutor"), None), None);
    }

    #[test]
    fn an_alias_of_a_core_executor_stands_for_its_path() {
        let roster = roster("fast:CeleryExecutor");
        assert!(roster.resolve(Some("fast"), None).is_some());
        assert!(roster.resolve(Some("CeleryExecutor"), None).is_some(), "its class answers too");
        assert!(
            roster.get(ExecutorIndex(0)).unwrap().module_path.ends_with("celery_executor.CeleryExecutor")
        );
    }

    #[test]
    fn a_team_has_its_own_default_and_may_use_what_is_everybodys() {
        let roster = roster("LocalExecutor;red=CeleryExecutor;blue=a.B,LocalExecutor");
        assert_eq!(roster.resolve(None, Some("red")), Some(ExecutorIndex(1)));
        assert_eq!(roster.resolve(None, Some("green")), Some(ExecutorIndex(0)));
        assert_eq!(roster.resolve(Some("CeleryExecutor"), Some("blue")), None, "it is red's");
        assert_eq!(roster.resolve(Some("LocalExecutor"), Some("red")), Some(ExecutorIndex(0)));
        assert_eq!(roster.resolve(Some("B"), Some("blue")), Some(ExecutorIndex(2)));
    }

    #[test]
    fn without_teams_their_executors_are_ignored() {
        let roster = Roster::parse("LocalExecutor;red=CeleryExecutor", Teams::Off).unwrap();
        assert_eq!((roster.len(), roster.ignored), (1, vec!["red=CeleryExecutor".to_owned()]));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let wrong = |option| Roster::parse(option, Teams::On).unwrap_err().to_string();
        assert!(wrong("").contains("is empty"));
        assert!(wrong("LocalExecutor,SequentialExecutor").contains("`SequentialExecutor`"));
        assert!(wrong("a:b:c").contains("`a:b:c`"));
        assert!(wrong("x:LocalExecutor,LocalExecutor").contains("twice"));
        assert!(wrong("red=LocalExecutor").contains("of teams only"));
        assert!(wrong("LocalExecutor;red=a.B;red=a.C").contains("team `red`"));
        assert!(wrong("red=a.B;LocalExecutor").contains("first"));
    }
}
