//! Caches that are shared through a remote: a folder, a bucket, and one that does what it should
//! not.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fuseline_tests::bucket::{self, ACCESS_KEY, Bucket, Fault, SECRET_KEY};
use fuseline_tests::kills::SMALL;
use fuseline_tests::{Lab, Ran, has_python};
use serde_json::Value;

const ACTIONS: u64 = 38;
const OUTPUTS: [&str; 2] = ["report.html", "findings.parquet"];

/// A machine with a cache of its own, a remote, and the same workflow.
struct Machine<'b> {
    lab: Lab,
    remote: String,
    server: Server<'b>,
}

#[derive(Clone, Copy)]
enum Server<'b> {
    /// The remote is a folder.
    None,
    Bucket(&'b Bucket),
    At(SocketAddr),
}

impl<'b> Machine<'b> {
    fn new(remote: impl Into<String>, server: Server<'b>) -> Self {
        Self { lab: Lab::with_workflow(SMALL), remote: remote.into(), server }
    }

    fn of_bucket(bucket: &'b Bucket) -> Self {
        Self::new("s3://lab/study", Server::Bucket(bucket))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.command(arguments);
        // A server of others answers when it can.
        let timeout = if matches!(self.server, Server::At(_)) { "20s" } else { "1s" };
        command.env("FUSELINE_REMOTE", &self.remote).env("FUSELINE_REMOTE_TIMEOUT", timeout);
        match self.server {
            Server::None => {}
            Server::Bucket(bucket) => bucket.offer_to(&mut command),
            Server::At(address) => bucket::offer(&mut command, address),
        }
        command
    }

    fn ran(&self, arguments: &[&str]) -> Ran {
        Ran(self.command(arguments).output().expect("fuseline can be started"))
    }

    /// Runs the workflow; returns its JSON output and its text output.
    #[track_caller]
    fn run(&self, more: &[&str]) -> (Value, String) {
        let ran = self.ran(&[&["run", "workflow.yaml", "--format", "json"], more].concat());
        (ran.json(), ran.stderr())
    }

    #[track_caller]
    fn write(&self) -> Value {
        self.run(&["--remote-mode", "write"]).0
    }

    fn outputs(&self) -> [Vec<u8>; 2] {
        OUTPUTS.map(|file| self.lab.read(&format!("results/small/{file}")))
    }
}

fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("remote").display().to_string();
    (folder, path)
}

/// The outputs of a machine without a remote.
fn expected_outputs() -> &'static [Vec<u8>; 2] {
    static EXPECTED: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    EXPECTED.get_or_init(|| {
        let machine = Machine::new("", Server::None);
        machine.run(&[]);
        machine.outputs()
    })
}

/// The warnings about the remote.
fn warnings(said: &str) -> Vec<&str> {
    said.lines().filter(|line| line.starts_with("warning: remote ")).collect()
}

/// Expects that a machine computes the right results itself, soon, and gives the reason in one
/// line.
#[track_caller]
fn makes_everything_itself(bucket: &Bucket, fault: Fault, because: &str) {
    bucket.fail(fault);
    let machine = Machine::of_bucket(bucket);
    let started = Instant::now();
    let (run, said) = machine.run(&[]);
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    // An action whose record was fetched and whose objects are not needed is not executed.
    assert!(run["executed"].as_u64() >= Some(ACTIONS - 4), "{said}");
    assert!(machine.outputs() == *expected_outputs());
    let [warning] = warnings(&said)[..] else { panic!("one warning: {said}") };
    assert!(warning.contains(because), "{warning}");
    // Nothing that it sent is among the records that this machine trusts.
    machine.lab.run(["cache", "verify"]).success();
}

#[test]
fn an_empty_machine_takes_everything_from_a_folder_and_executes_nothing() {
    let (_folder, remote) = folder();
    let first = Machine::new(&remote, Server::None);
    let sent = first.write();
    assert_eq!(
        (&sent["executed"], &sent["remote"]["actions_sent"]),
        (&ACTIONS.into(), &ACTIONS.into())
    );
    let second = Machine::new(&remote, Server::None);
    assert!(second.ran(&["plan", "workflow.yaml"]).stdout().ends_with("38 cached, 0 to run.\n"));
    let (run, said) = second.run(&[]);
    assert_eq!((&run["executed"], &run["cached"]), (&0.into(), &ACTIONS.into()));
    assert!(second.outputs() == first.outputs());
    assert_eq!(warnings(&said), [""; 0]);
    // One listing, one pack, and the two outputs: objects that nothing needs are not fetched.
    let traffic = &run["remote"];
    let requests = serde_json::json!({ "list": 1, "head": 0, "get": 3, "put": 0 });
    assert_eq!(traffic["requests"], requests);
    assert_eq!(traffic["objects_received"], 2);
    assert!(traffic["bytes_received"].as_u64() < sent["remote"]["bytes_sent"].as_u64());
    let manifest = second.ran(&["runs", "show", "latest", "--format", "json"]).json();
    assert_eq!(manifest["remote"], *traffic);
    // The next run makes no request, and the cache lists no object that it does not hold.
    let (again, _) = second.run(&[]);
    assert_eq!((&again["executed"], &again["remote"]["requests"]["list"]), (&0.into(), &0.into()));
    second.lab.run(["cache", "verify"]).success();
}

#[test]
fn what_a_run_lacks_is_fetched_where_it_is_needed() {
    let (_folder, remote) = folder();
    let first = Machine::new(&remote, Server::None);
    let sent = first.write();
    let second = Machine::new(&remote, Server::None);
    let (run, _) = second.run(&["--set", "permutations=21"]);
    let alone = Machine::new("", Server::None);
    let (expected, _) = alone.run(&["--set", "permutations=21"]);
    assert_eq!(expected["executed"], ACTIONS);
    // permute 8, finding 4, findings 1, report 1.
    assert_eq!(run["executed"], 14);
    assert!(second.outputs() == alone.outputs());
    let received = run["remote"]["objects_received"].as_u64();
    assert!(received < sent["remote"]["objects_sent"].as_u64() && received > Some(2));
    // Artifacts that a table shows and a report needs come as well.
    let third = Machine::new(&remote, Server::None);
    third.run(&[]);
    let shown = third.ran(&["show", "workflow.yaml", "cohort", "--format", "json"]).json();
    assert_eq!(shown.as_array().map(Vec::len), Some(60));
    for machine in [&first, &third] {
        machine.ran(&["report", "latest", "--out", "again"]).success();
    }
    assert!(third.lab.read("again/findings.csv") == first.lab.read("again/findings.csv"));
}

#[test]
fn what_was_pulled_needs_no_remote_and_what_was_made_without_one_can_be_pushed() {
    let (_folder, remote) = folder();
    let first = Machine::new(&remote, Server::None);
    first.run(&["--remote-mode", "off"]);
    let pushed = first.ran(&["cache", "push", "--format", "json"]).json();
    assert_eq!((&pushed["known"], &pushed["remote"]["actions_sent"]), (&0.into(), &ACTIONS.into()));
    let pushed = first.ran(&["cache", "push", "--format", "json"]).json();
    assert_eq!(
        (&pushed["known"], &pushed["remote"]["requests"]["put"]),
        (&ACTIONS.into(), &0.into())
    );
    let second = Machine::new(&remote, Server::None);
    second.run(&[]);
    let pulled = second.ran(&["cache", "pull", "--format", "json"]).json();
    assert_eq!(pulled["missing"], 0);
    fs::remove_dir_all(&remote).expect("a folder can be removed");
    let (run, said) = second.run(&["--remote-mode", "off"]);
    assert_eq!((&run["executed"], warnings(&said).len()), (&0.into(), 0));
    let (run, _) = second.run(&["--remote-mode", "off", "--set", "permutations=21"]);
    assert_eq!(run["executed"], 14);
    second.lab.run(["cache", "verify"]).success();
}

#[test]
fn a_folder_that_is_not_there_costs_a_warning() {
    let (_folder, remote) = folder();
    let machine = Machine::new(format!("{remote}/unmounted/deeper"), Server::None);
    for mode in ["read", "write"] {
        let (run, said) =
            machine.run(&["--remote-mode", mode, "--set", &format!("examples=6{}", mode.len())]);
        assert_eq!((&run["status"], warnings(&said).len()), (&"ok".into(), 1), "{said}");
    }
    assert_eq!(machine.ran(&["cache", "push"]).code(), 1);
}

#[test]
fn a_full_bucket_costs_a_warning_and_serves_what_it_has() {
    let bucket = Bucket::start();
    let first = Machine::of_bucket(&bucket);
    first.write();
    for (fault, set) in [(Fault::Full, "permutations=21"), (Fault::Denied, "permutations=22")] {
        bucket.fail(fault);
        let second = Machine::of_bucket(&bucket);
        let (run, said) = second.run(&["--remote-mode", "write", "--set", set]);
        assert_eq!(
            (&run["executed"], &run["remote"]["actions_not_sent"]),
            (&14.into(), &14.into())
        );
        let [warning] = warnings(&said)[..] else { panic!("one warning: {said}") };
        assert!(warning.contains("nothing more was sent to it"), "{fault:?}: {warning}");
        assert!(!said.contains(SECRET_KEY) && !said.contains(ACCESS_KEY), "{said}");
        assert_eq!(second.ran(&["cache", "push"]).code(), 1);
        bucket.fail(Fault::None);
        let pushed = second.ran(&["cache", "push", "--format", "json"]).json();
        assert_eq!(pushed["remote"]["actions_sent"], 14);
    }
}

#[test]
fn a_lying_bucket_is_found_out_and_everything_is_made_here() {
    let bucket = Bucket::start();
    Machine::of_bucket(&bucket).write();
    makes_everything_itself(&bucket, Fault::LyingObjects, "has other bytes than its name says");
    makes_everything_itself(&bucket, Fault::ShortObjects, "has other bytes than its name says");
    makes_everything_itself(&bucket, Fault::LongObjects, "has other bytes than its name says");
    makes_everything_itself(&bucket, Fault::LyingPacks, "its bytes are not those of its name");
}

#[test]
fn outputs_that_know_nothing_of_each_other_are_all_made_again() {
    const TWO: &str = r#"
fuseline: 1
name: two
axes: { letter: [a, b] }
stages:
  letters:
    uses: command
    over: [letter]
    with:
      run: [sh, -c, "head -c 9000 /dev/zero | tr '\\0' $LETTER > outputs/main"]
      env: { LETTER: "${{ letter }}" }
      outputs: { main: { artifact: report, media_type: text/plain } }
outputs: { a.txt: "letters[letter=a]", b.txt: "letters[letter=b]" }
"#;
    let (_folder, remote) = folder();
    let [first, second] = [(); 2].map(|()| Lab::with_workflow(TWO));
    first.run(["run", "workflow.yaml", "--remote", &remote, "--remote-mode", "write"]).success();
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).expect("a folder can be listed");
        entries.map(|entry| entry.expect("an entry can be read").path()).collect()
    };
    let shards = list(Path::new(&format!("{remote}/v1/objects")));
    for object in shards.iter().flat_map(|shard| list(shard)) {
        let bytes = fs::read(&object).expect("an object can be read");
        fs::remove_file(&object).expect("an object can be removed");
        fs::write(&object, bytes.iter().map(|byte| byte ^ 1).collect::<Vec<_>>())
            .expect("an object can be written");
    }
    second.run(["run", "workflow.yaml", "--remote", &remote]).success();
    for output in ["results/two/a.txt", "results/two/b.txt"] {
        assert!(second.read(output) == first.read(output), "{output}");
    }
}

#[test]
fn a_writer_mends_what_lies() {
    let bucket = Bucket::start();
    Machine::of_bucket(&bucket).write();
    bucket.fail(Fault::LyingObjects);
    let second = Machine::of_bucket(&bucket);
    let (run, _) = second.run(&["--remote-mode", "write"]);
    assert_eq!(run["status"], "ok");
    let replaced = run["remote"]["objects_refused"].as_u64();
    assert!(replaced > Some(0) && run["remote"]["requests"]["put"].as_u64() >= replaced, "{run}");
}

#[test]
fn a_slow_bucket_is_left_alone() {
    let bucket = Bucket::start();
    Machine::of_bucket(&bucket).write();
    makes_everything_itself(&bucket, Fault::Silent, "no answer within 1");
    makes_everything_itself(&bucket, Fault::Trickling, "it was left alone");
}

#[test]
fn a_dead_or_broken_bucket_is_left_alone() {
    let bucket = Bucket::start();
    Machine::of_bucket(&bucket).write();
    makes_everything_itself(&bucket, Fault::Broken, "it was left alone");
    makes_everything_itself(&bucket, Fault::Closing, "it was left alone");
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let machine = Machine::new("s3://lab/study", Server::At(port.expect("a port is free")));
    let (run, said) = machine.run(&["--remote-mode", "write"]);
    assert_eq!((&run["executed"], warnings(&said).len()), (&ACTIONS.into(), 1), "{said}");
}

#[test]
fn objects_that_are_gone_are_made_again() {
    let bucket = Bucket::start();
    let first = Machine::of_bucket(&bucket);
    first.write();
    bucket.remove("/objects/");
    let second = Machine::of_bucket(&bucket);
    let (run, said) = second.run(&["--remote-mode", "write"]);
    assert!(run["executed"].as_u64() >= Some(ACTIONS - 4), "{said}");
    assert!(second.outputs() == first.outputs());
    let [warning] = warnings(&said)[..] else { panic!("one warning: {said}") };
    assert!(warning.contains("that are gone: "), "{warning}");
    // They are there again.
    let (run, said) = Machine::of_bucket(&bucket).run(&[]);
    assert_eq!((&run["executed"], warnings(&said).len()), (&0.into(), 0), "{said}");
}

#[test]
fn two_writers_at_once_are_harmless_whoever_wins() {
    for fault in [Fault::None, Fault::AllWin, Fault::Conflict] {
        let bucket = Bucket::start();
        bucket.fail(fault);
        two_writers_and_a_reader(|| Machine::of_bucket(&bucket));
    }
    let (_folder, remote) = folder();
    two_writers_and_a_reader(|| Machine::new(&remote, Server::None));
}

fn two_writers_and_a_reader<'b>(machine: impl Fn() -> Machine<'b>) {
    let writers = [machine(), machine()];
    let start = |machine: &Machine<'_>| -> Child {
        let mut command = machine.command(&["run", "workflow.yaml", "--remote-mode", "write"]);
        let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().expect("fuseline can be started")
    };
    let started: Vec<Child> = writers.iter().map(start).collect();
    for child in started {
        let ran = Ran(child.wait_with_output().expect("a child can be waited for"));
        ran.success();
        assert_eq!(warnings(&ran.stderr()), [""; 0]);
    }
    let reader = machine();
    let (run, said) = reader.run(&[]);
    assert_eq!((&run["executed"], warnings(&said).len()), (&0.into(), 0), "{said}");
    assert!(reader.outputs() == writers[0].outputs());
}

#[test]
fn a_secret_in_an_address_is_refused_and_not_shown() {
    let machine = Machine::new(format!("s3://{ACCESS_KEY}:{SECRET_KEY}@lab/x"), Server::None);
    let ran = machine.ran(&["run", "workflow.yaml"]);
    ran.exits(2);
    let flag =
        machine.ran(&["run", "workflow.yaml", "--remote", "https://host/x?sig=hunter2hunter2"]);
    flag.exits(2);
    for said in [ran.stderr(), flag.stderr()] {
        assert!(!said.contains(SECRET_KEY) && !said.contains("hunter2"), "{said}");
        assert!(said.contains("credentials"), "{said}");
    }

    assert!(!machine.lab.path("cache").exists());
}

#[test]
fn nothing_of_a_credential_is_written_down() {
    let bucket = Bucket::start();
    bucket.fail(Fault::Denied);
    let machine = Machine::of_bucket(&bucket);
    let ran = machine.ran(&["run", "workflow.yaml", "--remote-mode", "write", "--log", "trace"]);
    ran.success();
    let mut texts = vec![ran.stderr(), ran.stdout()];
    let mut folders = vec![machine.lab.path(".")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder can be read").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => texts
                    .push(String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned()),
            }
        }
    }
    assert!(texts.len() > 50);
    for text in texts {
        assert!(!text.contains(SECRET_KEY), "{}", &text[..text.len().min(2000)]);
    }
}

#[test]
fn a_real_client_of_s3_and_a_server_of_others_agree() {
    if !has_python("moto.server, boto3") {
        return;
    }
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.expect("a port is free");
    let server = Command::new("python3")
        .args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &address.port().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _server = Ending(server.expect("moto can be started"));
    let give_up = Instant::now() + Duration::from_secs(30);
    while TcpStream::connect(address).is_err() {
        assert!(Instant::now() < give_up, "moto does not listen");
        std::thread::sleep(Duration::from_millis(50));
    }
    let make = "import boto3, sys; \
                boto3.client('s3', endpoint_url=sys.argv[1], region_name='us-east-1', \
                aws_access_key_id='a', aws_secret_access_key='b').create_bucket(Bucket='lab')";
    let made = Command::new("python3").args(["-c", make, &format!("http://{address}")]).output();
    assert!(made.is_ok_and(|made| made.status.success()));
    two_writers_and_a_reader(|| Machine::new("s3://lab/study", Server::At(address)));
    let reader = Machine::new("s3://lab/study", Server::At(address));
    let (run, _) = reader.run(&[]);
    // The packs of two writers.
    let requests = serde_json::json!({ "list": 1, "head": 0, "get": 4, "put": 0 });
    assert_eq!((&run["executed"], &run["remote"]["requests"]), (&0.into(), &requests));
}

/// A process that ends with the story.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_drawing_and_a_single_action_look_into_the_remote_too() {
    let (_folder, remote) = folder();
    let first = Machine::new(&remote, Server::None);
    first.write();
    let elsewhere = Machine::new(&remote, Server::None);
    let drawing = ["graph", "workflow.yaml", "--format", "mermaid"];
    let drawn = elsewhere.ran(&drawing);
    assert!(!drawn.stdout().contains(" 0 cached"), "{}", drawn.stdout());
    assert!(!elsewhere.lab.path("cache").exists(), "who only looks makes no cache");
    let alone = elsewhere.ran(&[&drawing[..], &["--remote-mode", "off"]].concat());
    assert!(alone.stdout().contains(" 0 cached"), "{}", alone.stdout());

    // The runs are there still, and with them the actions that they wrote down.
    let manifest = first.ran(&["runs", "show", "latest", "--format", "json"]).json();
    let actions = manifest["actions"].as_array().expect("a list");
    let fusion = actions.iter().find(|action| action["action"].as_str() == Some("findings"));
    let key = fusion.and_then(|action| action["key"].as_str()).expect("its key");
    for part in ["objects", "actions"] {
        fs::remove_dir_all(first.lab.path("cache").join(part)).expect("it is there");
        fs::create_dir(first.lab.path("cache").join(part)).expect("it can be made");
    }
    let executed = first.ran(&["exec", key, "--format", "json"]).json();
    assert_eq!(executed["status"], "cached", "{executed}");
    // Its inputs come from the remote as well.
    let again = first.ran(&["exec", key, "--again", "--format", "json"]).json();
    assert_eq!((&again["status"], &again["duplicate"]), (&"executed".into(), &false.into()));
    assert_eq!(again["outputs"], executed["outputs"]);
    first.ran(&["exec", "--batch", "nothing:0", "--remote", &remote]).exits(2);
}
