//! Random small Dags with task instances in random states, from a seed.

use serde_json::{Map, Value, json};

/// A small generator of pseudo-random numbers (SplitMix64), so that a case can be made again from its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const RULES: &[&str] = &[
    "all_success",
    "all_success",
    "all_success",
    "all_failed",
    "all_done",
    "all_done_min_one_success",
    "all_done_setup_success",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_skipped",
    "always",
];
const STATES: &[&str] = &[
    "success",
    "success",
    "success",
    "failed",
    "skipped",
    "upstream_failed",
    "running",
    "removed",
    "up_for_retry",
    "up_for_reschedule",
    "queued",
    "scheduled",
    "deferred",
];

/// One case in the form that the Python side reads.
pub(crate) fn case(seed: u64) -> Value {
    let mut dice = Dice::new(seed);
    let size = 2 + dice.below(6);
    let groups = groups(&mut dice, size);
    let mut maker = Maker { past: dice.percent(15), dice, groups, tasks: Vec::new() };
    for index in 0..size {
        let task = maker.task(index);
        maker.tasks.push(task);
    }
    maker.finish()
}

/// States in which nothing is decided about a task instance; one that is scheduled may be looked at again.
const SETTLED: &[&str] = &[
    "success",
    "success",
    "success",
    "failed",
    "skipped",
    "upstream_failed",
    "removed",
    "running",
    "queued",
    "deferred",
];

/// Looks at single task instances of a case: which one, and the states of all, of which only its own is none.
pub(crate) fn looks(case: &Value, seed: u64, count: usize) -> Value {
    let mut dice = Dice::new(seed ^ 0x5EED);
    let tis = case["tis"].as_array().map_or(&[][..], Vec::as_slice);
    let look = |dice: &mut Dice| {
        let target = dice.below(tis.len());
        let dull = *dice.pick(&[0, 40, 80]);
        let quiet = *dice.pick(&["success", "success", "skipped", "failed", "running"]);
        let states: Vec<Value> = (0..tis.len())
            .map(|index| match index {
                _ if index == target => Value::Null,
                _ if dice.percent(dull) => quiet.into(),
                _ => (*dice.pick(SETTLED)).into(),
            })
            .collect();
        json!({"target": [tis[target]["task"], tis[target]["map_index"]], "states": states})
    };
    if tis.is_empty() { json!([]) } else { (0..count).map(|_| look(&mut dice)).collect() }
}

/// Task indexes of a group, and over which earlier task it is expanded, if any.
struct Group {
    name: &'static str,
    parent: Option<&'static str>,
    tasks: std::ops::Range<usize>,
    over: Option<Value>,
}

fn groups(dice: &mut Dice, size: usize) -> Vec<Group> {
    if !dice.percent(45) {
        return Vec::new();
    }
    let start = dice.below(size - 1);
    let end = (start + 1 + dice.below(3)).min(size);
    let mut over = |chance| match dice.below(100) {
        roll if roll < chance && start > 0 => Some(json!({"result": format!("t{}", dice.below(start))})),
        roll if roll < 85 => Some(json!({"literal": dice.below(4)})),
        _ => None,
    };
    let outer = Group { name: "g", parent: None, tasks: start..end, over: over(45) };
    let inner = Group { name: "h", parent: Some("g"), tasks: start + 1..end, over: over(30) };
    let nested = end > start + 1 && dice.percent(40);
    std::iter::once(outer).chain(nested.then_some(inner)).collect()
}

struct Maker {
    dice: Dice,
    past: bool,
    groups: Vec<Group>,
    tasks: Vec<Value>,
}

impl Maker {
    fn task(&mut self, index: usize) -> Value {
        let group =
            self.groups.iter().rev().find(|group| group.tasks.contains(&index)).map(|group| group.name);
        let in_mapped = self.groups.iter().any(|group| group.tasks.contains(&index) && group.over.is_some());
        let over = if !in_mapped && self.dice.percent(25) { Some(self.over(index)) } else { None };
        let dice = &mut self.dice;
        let kind = match dice.below(10) {
            0 | 1 => "empty",
            2 => "branch",
            3 => "sensor",
            _ => "op",
        };
        let role = match dice.below(10) {
            0 | 1 => "setup",
            2 if index > 0 => "teardown",
            _ => "plain",
        };
        let mut arguments = Map::new();
        let rule =
            if role == "teardown" && dice.percent(70) { "all_done_setup_success" } else { dice.pick(RULES) };
        arguments.insert("trigger_rule".into(), rule.into());
        if dice.percent(30) {
            arguments.insert("retries".into(), 3.into());
            arguments.insert("retry_delay".into(), json!(dice.below(500) as f64 / 4.0));
            arguments
                .insert("retry_exponential_backoff".into(), json!(*dice.pick(&[0.0, 1.0, 1.5, 2.0, 40.0])));
            if dice.percent(40) {
                arguments.insert("max_retry_delay".into(), json!(dice.below(300) as f64 + 1.0));
            }
        }
        if kind == "sensor" && dice.percent(60) {
            arguments.insert("mode".into(), "reschedule".into());
        }
        if self.past && dice.percent(50) {
            arguments.insert("depends_on_past".into(), true.into());
            arguments.insert("wait_for_downstream".into(), dice.percent(30).into());
            arguments.insert("ignore_first_depends_on_past".into(), dice.percent(50).into());
        }
        if dice.percent(5) {
            arguments.insert("max_active_tis_per_dag".into(), 1.into());
        }
        let density = *dice.pick(&[20, 40, 70]);
        let upstream: Vec<String> =
            (0..index).filter(|_| dice.percent(density)).map(|above| format!("t{above}")).collect();
        json!({
            "id": format!("t{index}"), "kind": kind, "arguments": arguments, "group": group, "over": over,
            "role": role, "fails_run": dice.percent(20), "upstream": upstream,
        })
    }

    fn over(&mut self, index: usize) -> Value {
        let dice = &mut self.dice;
        let sources: Vec<String> = (0..index).map(|above| format!("t{above}")).collect();
        let argument = |dice: &mut Dice| {
            if sources.is_empty() || dice.percent(35) {
                return json!({"literal": dice.below(4)});
            }
            let (one, other) = (dice.pick(&sources).clone(), dice.pick(&sources).clone());
            match dice.below(6) {
                0 => json!({"map": one}),
                1 => json!({"zip": [one, other]}),
                2 => json!({"zip_filled": [one, other]}),
                3 => json!({"concat": [one, other]}),
                _ => json!({"result": one}),
            }
        };
        match dice.below(6) {
            0 => json!({"kwargs": dice.below(3)}),
            1 if !sources.is_empty() => json!({"kwargs_result": dice.pick(&sources)}),
            2 => json!({"arguments": [argument(dice), argument(dice)]}),
            _ => json!({"arguments": [argument(dice)]}),
        }
    }

    fn finish(mut self) -> Value {
        let mut tis = Vec::new();
        let (mut lengths, mut results, mut skips) = (Map::new(), Map::new(), Vec::new());
        let unfinished = *self.dice.pick(&[25, 50, 75]);
        for task in self.tasks.clone() {
            let id = task["id"].as_str().unwrap_or_default().to_owned();
            let copies = self.copies(&task);
            for map_index in &copies {
                let mut ti = self.ti(&id, *map_index, unfinished);
                if *map_index < 0 && self.expands(&task) && ti["state"] == "up_for_retry" {
                    // Airflow's copies of it would have no end date to count the retry delay from, and raise.
                    ti["state"] = Value::Null;
                }
                tis.push(ti);
            }
            // What is not expanded yet has never run, so that it has pushed nothing.
            let may_expand = tis.iter().any(|ti| {
                ti["task"] == id.as_str() && ti["map_index"] == -1 && self.expands(&task) && schedulable(ti)
            });
            if copies.contains(&-1) && !may_expand && self.dice.percent(75) {
                lengths.insert(id.clone(), self.dice.below(4).into());
            }
            let pushed: Vec<i32> =
                copies.iter().copied().filter(|index| *index >= 0 && self.dice.percent(80)).collect();
            if !pushed.is_empty() {
                results.insert(id.clone(), pushed.into());
            }
            if task["kind"] == "branch" && self.dice.percent(80) {
                for map_index in copies.into_iter().filter(|index| *index >= 0 || !may_expand) {
                    let key = if self.dice.percent(70) { "followed" } else { "skipped" };
                    let named: Vec<String> = (0..self.tasks.len())
                        .filter(|_| self.dice.percent(50))
                        .map(|index| format!("t{index}"))
                        .collect();
                    skips.push(json!([id, map_index, {key: named}]));
                }
            }
        }
        let previous = (self.past && self.dice.percent(80)).then(|| self.previous());
        let groups: Vec<Value> = self
            .groups
            .iter()
            .map(|group| json!({"id": group.name, "parent": group.parent, "over": group.over}))
            .collect();
        json!({
            "catchup": self.dice.percent(50), "groups": groups, "tasks": self.tasks, "tis": tis,
            "lengths": lengths, "results": results, "skips": skips, "previous": previous,
        })
    }

    /// Whether a task is mapped or in a mapped group.
    fn expands(&self, task: &Value) -> bool {
        let index: usize = task["id"].as_str().and_then(|id| id[1..].parse().ok()).unwrap_or_default();
        !task["over"].is_null()
            || self.groups.iter().any(|group| group.tasks.contains(&index) && group.over.is_some())
    }

    /// Map indexes of a task's instances: none at all now and then.
    fn copies(&mut self, task: &Value) -> Vec<i32> {
        let mapped = self.expands(task);
        match self.dice.below(100) {
            0..3 => vec![],
            3..60 if mapped => (0..1 + self.dice.below(4) as i32).collect(),
            60..63 if mapped => vec![-1, 0, 2],
            _ => vec![-1],
        }
    }

    fn ti(&mut self, task: &str, map_index: i32, unfinished: usize) -> Value {
        let dice = &mut self.dice;
        let state = if dice.percent(unfinished) { None } else { Some(*dice.pick(STATES)) };
        // What has never run cannot have pushed anything: the product relies on it, the generator keeps to it.
        let ended = state.is_some_and(|state| state != "running" && state != "queued");
        let reschedules = state == Some("up_for_reschedule") && dice.percent(80);
        json!({
            "task": task, "map_index": map_index, "state": state, "try_number": 1 + dice.below(4),
            "ended_ago": ended.then(|| dice.below(400)),
            "reschedule_in": reschedules.then(|| dice.below(200) as i64 * 50 - 4985),
        })
    }

    fn previous(&mut self) -> Vec<Value> {
        let mut tis = Vec::new();
        for index in 0..self.tasks.len() {
            if self.dice.percent(85) {
                let mut ti = self.ti(&format!("t{index}"), -1, 10);
                if self.dice.percent(60) {
                    ti["state"] = "success".into();
                }
                tis.push(ti);
            }
        }
        tis
    }
}

fn schedulable(ti: &Value) -> bool {
    matches!(ti["state"].as_str(), None | Some("up_for_retry" | "up_for_reschedule"))
}
