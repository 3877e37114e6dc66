//! What tasks survive: the end of their scheduler, of their zygote, of their parent, a change of their file.

use super::*;

#[test]
fn a_task_goes_on_without_its_scheduler_and_the_next_one_adopts_it() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        beside_a_worker(&deployment, async {
            let (first, _events) = deployment.executor().await;
            let slow = deployment.task("slow").await;
            first.queue(vec![Workload::ExecuteTask(slow.clone())]);
            deployment.wait_for_output(&slow).await;
            drop((first, _events));

            let (second, mut events) = deployment.executor().await;
            let Some(ExecutorEvent::Attached(held)) = events.recv().await else { panic!("no connection") };
            assert_eq!(held.running, [Workload::ExecuteTask(slow.clone())]);
            assert!(second.has_task(&slow.ti));
            // Handing it over once more does not start it once more.
            second.queue(vec![Workload::ExecuteTask(slow.clone())]);
            deployment.open_gate();
            assert_eq!(next_end(&mut events).await, ("slow".to_owned(), Report::Settled, true));
            assert_eq!(deployment.state(&slow).await, "success");
            assert_eq!(deployment.log(&slow).matches("waiting").count(), 1);
        })
        .await;
    });
}

#[test]
fn an_end_that_no_scheduler_saw_is_told_to_the_next_one() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        beside_a_worker(&deployment, async {
            let (first, _events) = deployment.executor().await;
            let (slow, endless) = (deployment.task("slow").await, deployment.task("endless").await);
            let both = [&endless, &slow].map(|task| Workload::ExecuteTask(task.clone()));
            first.queue(both.to_vec());
            deployment.wait_for_output(&endless).await;
            deployment.wait_for_output(&slow).await;
            drop((first, _events));
            deployment.open_gate();
            while deployment.state(&slow).await != "success" {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (_second, mut events) = deployment.executor().await;
            assert_eq!(next_end(&mut events).await.0, "slow");
        })
        .await;
        // The worker was told to end: so was the task that still ran, and its end was reported.
        let sql = "SELECT state FROM task_instance WHERE task_id = 'endless'";
        assert_eq!(testing::first(&deployment.db, sql).await.text("state").unwrap(), "failed");
    });
}

#[test]
fn running_tasks_go_on_when_their_zygote_is_killed() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        beside_a_worker(&deployment, async {
            let (executor, mut events) = deployment.executor().await;
            let slow = deployment.task("slow").await;
            executor.queue(vec![Workload::ExecuteTask(slow.clone())]);
            deployment.wait_for_output(&slow).await;
            let zygote = parent_of(parent_of(deployment.pid(&slow).await));
            nix::sys::signal::kill(zygote, nix::sys::signal::Signal::SIGKILL).unwrap();

            let good = deployment.task("good").await;
            executor.queue(vec![Workload::ExecuteTask(good.clone())]);
            assert_eq!(next_end(&mut events).await.0, "good");
            deployment.open_gate();
            assert_eq!(next_end(&mut events).await, ("slow".to_owned(), Report::Settled, true));
            assert_eq!(deployment.state(&slow).await, "success");
        })
        .await;
    });
}

#[test]
fn a_zygote_that_does_not_answer_is_replaced_and_its_tasks_go_on() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        let options = |shutdown| {
            let mut options = deployment.worker(shutdown);
            options.settings.fork_limit = Duration::from_secs(3);
            options.settings.prepared_dag_files = 0;
            options
        };
        beside(options, async {
            let (executor, mut events) = deployment.executor().await;
            let slow = deployment.task("slow").await;
            executor.queue(vec![Workload::ExecuteTask(slow.clone())]);
            deployment.wait_for_output(&slow).await;
            let zygote = parent_of(parent_of(deployment.pid(&slow).await));
            nix::sys::signal::kill(zygote, nix::sys::signal::Signal::SIGSTOP).unwrap();

            let good = deployment.task("good").await;
            executor.queue(vec![Workload::ExecuteTask(good.clone())]);
            assert_eq!(next_end(&mut events).await.0, "good");
            deployment.open_gate();
            assert_eq!(next_end(&mut events).await, ("slow".to_owned(), Report::Settled, true));
            assert!(!runs(zygote));
        })
        .await;
    });
}

#[test]
fn a_task_whose_parent_is_killed_keeps_its_slot_until_it_is_given_up() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        beside_a_worker(&deployment, async {
            let (executor, mut events) = deployment.executor().await;
            let slow = deployment.task("slow").await;
            executor.queue(vec![Workload::ExecuteTask(slow.clone())]);
            deployment.wait_for_output(&slow).await;
            let pid = deployment.pid(&slow).await;
            let parent = parent_of(pid);
            nix::sys::signal::kill(parent, nix::sys::signal::Signal::SIGKILL).unwrap();

            let good = deployment.task("good").await;
            executor.queue(vec![Workload::ExecuteTask(good.clone())]);
            assert_eq!(next_end(&mut events).await.0, "good");
            assert_eq!(deployment.state(&slow).await, "running");
            assert!(executor.has_task(&slow.ti));
            executor.kill(slow.ti.workload_key());
            assert_eq!(next_end(&mut events).await.0, "slow");
            while runs(pid) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    });
}

/// Names nothing that keeps it from being prepared.
const FIT: &str = r#"
from airflow.sdk import dag, task

@dag(schedule=None)
def d():
    @task
    def held():
        print("waiting", flush=True)
        open("GATE").read()

    @task
    def quick():
        print("code of before")

    held()
    quick()

d()
"#;

#[test]
fn tasks_share_the_parse_of_their_file_and_neither_its_change_nor_the_end_of_that_process_harms_them() {
    testing::block_on(async {
        let deployment = Deployment::new().await;
        let (gate, file) = (deployment.home.path().join("gate"), deployment.home.path().join("dags/d.py"));
        nix::unistd::mkfifo(&gate, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let source = FIT.replace("GATE", gate.to_str().unwrap());
        std::fs::write(&file, &source).unwrap();
        beside_a_worker(&deployment, async {
            let (executor, mut events) = deployment.executor().await;
            let number = std::cell::Cell::new(0);
            let start = async |task_id: &str| {
                number.set(number.get() + 1);
                let (run, logical_date) = (format!("r{}", number.get()), testing::at(number.get()));
                NewRun { logical_date, ..NewRun::new("d", &run) }.insert(&deployment.db).await;
                let mut task = deployment.insert(NewTi::new("d", &run, task_id), task_id).await;
                task.ti.run_id = run.into();
                task.log_path = Some(LogTemplate::parse(DEFAULT_LOG_TEMPLATE).unwrap().render(&task.ti));
                executor.queue(vec![Workload::ExecuteTask(task.clone())]);
                task
            };
            let say = async |expected: &str, events: &mut _| {
                let quick = start("quick").await;
                assert_eq!(next_end(events).await, ("quick".to_owned(), Report::Settled, true));
                assert!(deployment.log(&quick).contains(expected), "{}", deployment.log(&quick));
            };
            // The first two tasks parse the file by themselves, then it is prepared.
            say("code of before", &mut events).await;
            say("code of before", &mut events).await;
            let (held, prepared) = loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let held = start("held").await;
                deployment.wait_for_output(&held).await;
                let zygote = parent_of(parent_of(deployment.pid(&held).await));
                // A zygote that is not prepared is the worker's own child.
                if parent_of(zygote) != nix::unistd::getpid() {
                    break (held, zygote);
                }
                executor.kill(held.ti.workload_key());
                assert_eq!(next_end(&mut events).await.0, "held");
            };
            say("code of before", &mut events).await;
            std::fs::write(&file, source.replace("before", "after")).unwrap();
            for _ in 0..3 {
                say("code of after", &mut events).await;
            }
            nix::sys::signal::kill(prepared, nix::sys::signal::Signal::SIGKILL).unwrap();
            say("code of after", &mut events).await;
            tokio::task::spawn_blocking(move || std::fs::write(gate, "")).await.unwrap().unwrap();
            assert_eq!(next_end(&mut events).await, ("held".to_owned(), Report::Settled, true));
            assert_eq!(deployment.state(&held).await, "success");
        })
        .await;
    });
}

/// Whether there is such a process, other than one that nobody has taken note of the end of.
fn runs(pid: nix::unistd::Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn parent_of(pid: nix::unistd::Pid) -> nix::unistd::Pid {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
    nix::unistd::Pid::from_raw(parent.trim().parse().unwrap())
}
