//! One child: parses one file, or runs its callbacks (`airflow/dag_processing/processor.py`).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use md5::{Digest, Md5};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use rmpv::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::python::{ChildFds, ChildStatus, PythonError};
use crate::runtime::socket_pair;
use crate::supervisor::value::{Message, from_json};
use crate::supervisor::{Answerer, Frame, FrameError, FrameReader, FrameWriter};

use super::children::{Child, Children};
use super::log::{ChildLog, Level};
use super::memory::{Inputs, Report};

/// What a child is asked.
#[derive(Debug)]
pub(super) struct Request {
    /// The file.
    pub(super) file: PathBuf,
    /// Where its bundle is.
    pub(super) bundle_path: PathBuf,
    /// Its bundle.
    pub(super) bundle: String,
    /// `CallbackRequest`s; with any, they are run and nothing is parsed.
    pub(super) callbacks: Vec<serde_json::Value>,
    /// When it is killed.
    pub(super) limit: Duration,
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself.
    Exited(ChildStatus),
    /// It was killed after its time limit.
    TimedOut,
    /// It is not known: its zygote was gone.
    Unknown,
}

/// What came of a child.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Its end.
    pub(super) ending: Ending,
    /// What it parsed, if it came to that.
    pub(super) parsed: Option<Parsed>,
    /// When it was started.
    pub(super) started: DateTime<Utc>,
    /// How long it took.
    pub(super) duration: Duration,
    /// Whether the result depends on files alone.
    pub(super) inputs: Inputs,
    /// Whether the sources name no clock, random number or environment.
    pub(super) steady: bool,
    /// The files that the result depends on.
    pub(super) paths: Vec<PathBuf>,
}

/// A `DagFileParsingResult`.
#[derive(Debug)]
pub(super) struct Parsed {
    /// As the child sent it, in MessagePack.
    pub(super) message: Vec<u8>,
    /// The same for the same Dags, errors and warnings.
    pub(super) hash: [u8; 16],
    /// The Dags.
    pub(super) dag_ids: Vec<String>,
    /// How many import errors.
    pub(super) import_errors: usize,
    /// Whether it has neither errors nor warnings.
    pub(super) says_dags_only: bool,
}

/// How long the sockets of a child that ended are read: its own children may hold them open.
const DRAIN: Duration = Duration::from_secs(2);

/// Forks a child and answers it until it ends.
pub(super) async fn run(
    children: &Children,
    answerer: Answerer,
    request: Request,
    log: Arc<ChildLog>,
) -> Result<Outcome, PythonError> {
    let (ours, fds) = sockets()?;
    let (started, clock) = (Utc::now(), Instant::now());
    let child = children.fork(fds).await?;
    let group = Group::of(child.pid);
    let [requests, stdout, stderr, logs] = ours;
    tokio::spawn(copy_lines(stdout, log.clone(), "dag_processor.stdout", Level::Info));
    tokio::spawn(copy_lines(stderr, log.clone(), "dag_processor.stderr", Level::Error));
    let (report_to, report) = mpsc::channel(1);
    tokio::spawn(copy_log(logs, log.clone(), report_to));
    let mut talk = Talk::new(requests, answerer);
    let ending = talk.until_end(&request, child, clock + request.limit).await;
    // What it started and left lives on, as with Airflow.
    group.forget();
    let report = last(report).await;
    explain(ending, &request, &log);
    let files_only = talk.inputs == Inputs::Files && report.as_ref().is_some_and(|report| !report.outward);
    Ok(Outcome {
        ending,
        parsed: talk.parsed,
        started,
        duration: clock.elapsed(),
        inputs: if files_only { Inputs::Files } else { Inputs::Anything },
        steady: report.as_ref().is_some_and(|report| report.steady),
        paths: report.map(|report| report.paths).unwrap_or_default(),
    })
}

/// The process group of a child that works. Dropped before the child has ended, it is killed: what hangs in the child may be what
/// it started.
struct Group(Option<i32>);

impl Group {
    fn of(pid: i32) -> Self {
        Self(Some(pid))
    }

    /// Leaves what is left of it alone.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // There may be nothing left to kill.
            let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

/// Our ends of a child's sockets (requests, stdout, stderr, logs), and the child's.
fn sockets() -> std::io::Result<([UnixStream; 4], ChildFds)> {
    let (r, requests) = socket_pair()?;
    let (o, stdout) = socket_pair()?;
    let (e, stderr) = socket_pair()?;
    let (l, logs) = socket_pair()?;
    Ok(([r, o, e, l], ChildFds { requests, stdout, stderr, logs }))
}

/// The conversation with a child.
struct Talk {
    reader: FrameReader<OwnedReadHalf>,
    writer: FrameWriter<OwnedWriteHalf>,
    answerer: Answerer,
    parsed: Option<Parsed>,
    inputs: Inputs,
}

impl Talk {
    fn new(requests: UnixStream, answerer: Answerer) -> Self {
        let (read, write) = requests.into_split();
        let (reader, writer) = (FrameReader::new(read), FrameWriter::new(write));
        Self { reader, writer, answerer, parsed: None, inputs: Inputs::Files }
    }

    /// Sends the request and answers what comes back, until the child has ended and said everything.
    async fn until_end(&mut self, request: &Request, mut child: Child, deadline: Instant) -> Ending {
        let first = first_frame(request);
        let talk = async {
            self.writer.send(&first).await?;
            while let Some(frame) = self.reader.next().await? {
                self.take(frame).await?;
            }
            Ok::<(), FrameError>(())
        };
        tokio::pin!(talk);
        let ended = tokio::select! {
            ended = &mut child.ended => ended,
            result = &mut talk => {
                if let Err(error) = result {
                    tracing::debug!(pid = child.pid, %error, "a parse child's socket failed");
                }
                match tokio::time::timeout_at(deadline, &mut child.ended).await {
                    Ok(ended) => return ended.map_or(Ending::Unknown, Ending::Exited),
                    Err(_) => return kill(&mut child).await,
                }
            }
            () = tokio::time::sleep_until(deadline) => return kill(&mut child).await,
        };
        // What it sent before it ended may still be on the way.
        let _ = tokio::time::timeout(DRAIN, talk).await;
        ended.map_or(Ending::Unknown, Ending::Exited)
    }

    /// Takes one message: the result, or a question.
    async fn take(&mut self, frame: Frame) -> Result<(), FrameError> {
        let kind = field(&frame.body, "type").and_then(Value::as_str).unwrap_or_default();
        let response = match kind {
            "DagFileParsingResult" => {
                self.parsed = Some(Parsed::new(&frame.body)?);
                Frame::response(frame.id, None, None)
            }
            kind => {
                if kind != "MaskSecret" {
                    self.inputs = Inputs::Anything;
                }
                let answer = self.answerer.answer(&frame.body).await;
                Frame::response(frame.id, answer.body, answer.error)
            }
        };
        self.writer.send(&response).await
    }
}

/// Kills a child that overran and waits until it is gone.
async fn kill(child: &mut Child) -> Ending {
    drop(Group::of(child.pid));
    let _ = tokio::time::timeout(DRAIN, &mut child.ended).await;
    Ending::TimedOut
}

fn first_frame(request: &Request) -> Frame {
    let callbacks: Vec<Value> = request.callbacks.iter().map(from_json).collect();
    let body = Message::new("DagFileParseRequest")
        .with("file", request.file.to_string_lossy().as_ref())
        .with("bundle_path", request.bundle_path.to_string_lossy().as_ref())
        .with("bundle_name", request.bundle.as_str())
        .with("callback_requests", Value::Array(callbacks));
    Frame::new(0, body.done())
}

impl Parsed {
    fn new(body: &Value) -> Result<Self, FrameError> {
        let list = |name| field(body, name).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let mut hasher = Md5::new();
        let mut dag_ids = Vec::new();
        for dag in list("serialized_dags") {
            // `last_loaded` beside it is another one in each parse.
            let Some(data) = field(dag, "data") else { continue };
            hasher.update(encode(data)?);
            let id = field(data, "dag").and_then(|dag| field(dag, "dag_id")).and_then(Value::as_str);
            dag_ids.extend(id.map(str::to_owned));
        }
        for name in ["import_errors", "warnings"] {
            hasher.update(encode(field(body, name).unwrap_or(&Value::Nil))?);
        }
        let import_errors = field(body, "import_errors").and_then(Value::as_map).map_or(0, Vec::len);
        Ok(Self {
            message: encode(body)?,
            hash: hasher.finalize().into(),
            dag_ids,
            import_errors,
            says_dags_only: import_errors == 0 && list("warnings").is_empty(),
        })
    }
}

fn field<'a>(map: &'a Value, name: &str) -> Option<&'a Value> {
    map.as_map()?.iter().find(|(key, _)| key.as_str() == Some(name)).map(|(_, value)| value)
}

fn encode(value: &Value) -> Result<Vec<u8>, FrameError> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).map_err(|error| FrameError::Malformed(error.to_string()))?;
    Ok(bytes)
}

/// Copies a stream of text into the log, line by line.
async fn copy_lines(stream: UnixStream, log: Arc<ChildLog>, logger: &'static str, level: Level) {
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        if !line.is_empty() {
            log.text(logger, level, &line);
        }
    }
}

/// Copies the child's log lines; the one that is a report goes to `report`.
async fn copy_log(stream: UnixStream, log: Arc<ChildLog>, report: mpsc::Sender<Report>) {
    #[derive(serde::Deserialize)]
    struct Line {
        slipstream: Report,
    }
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        match line.starts_with(br#"{"slipstream":"#).then(|| serde_json::from_slice::<Line>(&line)) {
            Some(Ok(line)) => drop(report.try_send(line.slipstream)),
            _ => log.json(&line),
        }
    }
}

/// The report, once the log socket is closed or nothing more can be expected.
async fn last(mut report: mpsc::Receiver<Report>) -> Option<Report> {
    tokio::time::timeout(DRAIN, report.recv()).await.ok().flatten()
}

/// Writes to the file's log why there is no result. As in Airflow, nothing is written to the database then.
fn explain(ending: Ending, request: &Request, log: &ChildLog) {
    let file = request.file.display();
    let text = match ending {
        Ending::Exited(ChildStatus::Code(0)) => return,
        Ending::Exited(ChildStatus::Code(code)) => {
            format!("The process that worked on {file} ended with exit code {code} before it was done")
        }
        Ending::Exited(ChildStatus::Signal(signal)) => {
            format!("The process that worked on {file} was ended by signal {signal} before it was done")
        }
        Ending::TimedOut => format!(
            "The process that worked on {file} took longer than {} s and was killed; make the file faster to import \
             or raise `[dag_processor] dag_file_processor_timeout`",
            request.limit.as_secs()
        ),
        Ending::Exited(ChildStatus::Lost) | Ending::Unknown => {
            format!("The process that worked on {file} was lost with its parent; it will be started again")
        }
    };
    tracing::error!("{text}");
    log.text("processor", Level::Error, text.as_bytes());
}
