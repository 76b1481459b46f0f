//! Checks that look at a plugin from beside it, in a worker's own process.
#![expect(unsafe_code, reason = "calls the plugin's functions directly, and guards memory pages")]

mod guarded;
mod locale;
mod process;

use std::ffi::CStr;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::ptr;

use fuseline_abi as abi;
use fuseline_artifact::Digest;

use super::rows::Rows;
use crate::batch::Batch;
use crate::descriptor::Descriptor;
use crate::native::{HOST_OF_8_THREADS, HOST_STRUCT, Native, StaticHost, load_init};
use crate::params::Params;
use crate::rule::{Backend, Fault};
use crate::schema;
use crate::stop::StopSignal;

pub(crate) use process::in_worker;

/// Answer of a probe.
pub(crate) enum Answer {
    /// The promise is kept, as far as checked.
    Pass,
    /// It is broken.
    Fail(String),
    /// It was not checked.
    Skipped(String),
}

/// Prefix of the name of the probe that fits with several threads; the digest that the model must
/// have follows.
pub(crate) const FIT_THREADS: &str = "fit_threads ";

/// Exit codes of a probing process; the reason is on standard error.
const FAILED: u8 = 1;
const SKIPPED: u8 = 77;

/// Reason why a probe did not pass.
enum Finding {
    Broken(String),
    Nothing(String),
}

impl From<Fault> for Finding {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Rule(error) => Self::Broken(error.to_string()),
            Fault::Worker(failure) => Self::Broken(failure.to_string()),
        }
    }
}

impl From<String> for Finding {
    fn from(reason: String) -> Self {
        Self::Broken(reason)
    }
}

fn ensure(holds: bool, reason: &str) -> Result<(), Finding> {
    if holds { Ok(()) } else { Err(Finding::Broken(reason.to_owned())) }
}

/// Runs one probe in this process, which is a worker's.
pub(crate) fn run(file: &Path, name: &str) -> ExitCode {
    let result = match name {
        "other_major" => other_major(file),
        "small_structs" => small_structs(file),
        "init_twice" => init_twice(file),
        "locale" => locale::probe(file),
        "leaks" => leaks(file),
        "threads" => threads(file),
        "guarded" => guarded::probe(file),
        "state" => state(file),
        "traces" => traces(file),
        name if name.starts_with(FIT_THREADS) => fit_threads(file, &name[FIT_THREADS.len()..]),
        _ => Err(Finding::Nothing(format!("there is no probe {name}"))),
    };
    crate::worker::flush_c_streams();
    let (code, reason) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(Finding::Broken(reason)) => (FAILED, reason),
        Err(Finding::Nothing(reason)) => (SKIPPED, reason),
    };
    let _ = writeln!(io::stderr(), "{reason}");
    ExitCode::from(code)
}

fn other_major(file: &Path) -> Result<(), Finding> {
    let init = load_init(file).map_err(|error| error.to_string())?;
    for major in [0, u32::from(abi::ABI_MAJOR) + 1] {
        let (mut table, mut error) = (abi::FusionPlugin::empty(), abi::Error::new());
        // SAFETY: host, table and error live through the call and say their sizes.
        let code = unsafe { init(major << 16, HOST_STRUCT.get(), &mut table, &mut error) };
        ensure(
            code == abi::ERR_ABI,
            &format!("ABI {major}.0 gives code {code}, not {}", abi::ERR_ABI),
        )?;
        ensure(error.message[0] != 0, "the refusal has no words")?;
    }
    Ok(())
}

fn small_structs(file: &Path) -> Result<(), Finding> {
    const CANARY: u8 = 0xA5;
    const KNOWN: usize = 32; // size and flags, descriptor, fit
    let init = load_init(file).map_err(|error| error.to_string())?;

    let mut table = [CANARY as u64 * 0x0101_0101_0101_0101; 32];
    table[0] = KNOWN as u64;
    let mut error = abi::Error::new();
    // SAFETY: the table is as large as it says, and larger; the others live through the call.
    let code = unsafe { init(abi::ABI, HOST_STRUCT.get(), table.as_mut_ptr().cast(), &mut error) };
    ensure(code == abi::OK, "a table of 32 bytes is refused")?;
    ensure(
        table[KNOWN / 8..].iter().all(|word| word.to_ne_bytes() == [CANARY; 8]),
        "it writes behind a table of 32 bytes",
    )?;
    ensure(table[0] as u32 == KNOWN as u32, "it changes the table's struct_size")?;

    let mut error = [CANARY; 1176];
    error[..8].copy_from_slice(&16_u64.to_le_bytes());
    let mut table = abi::FusionPlugin::empty();
    // SAFETY: as above; the buffer is larger than the size it gives.
    let code = unsafe {
        init(
            (u32::from(abi::ABI_MAJOR) + 1) << 16,
            HOST_STRUCT.get(),
            &mut table,
            error.as_mut_ptr().cast(),
        )
    };
    ensure(code == abi::ERR_ABI, "another major is not refused")?;
    ensure(
        error[16..].iter().all(|&byte| byte == CANARY),
        "it writes behind an fsl_error of 16 bytes",
    )
}

fn init_twice(file: &Path) -> Result<(), Finding> {
    let init = load_init(file).map_err(|error| error.to_string())?;
    let once = move || -> Result<[u64; 8], String> {
        let (mut table, mut error) = (abi::FusionPlugin::empty(), abi::Error::new());
        // SAFETY: host, table and error live through the call and say their sizes.
        let code = unsafe { init(abi::ABI, HOST_STRUCT.get(), &mut table, &mut error) };
        if code != abi::OK {
            return Err(format!("it gives code {code}"));
        }
        // SAFETY: the table is 64 bytes of numbers and pointers.
        Ok(unsafe { std::mem::transmute::<abi::FusionPlugin, [u64; 8]>(table) })
    };
    let first = once()?;
    for _ in 0..20 {
        let tables = std::thread::scope(|scope| {
            let running = [scope.spawn(once), scope.spawn(once)];
            running.map(|thread| thread.join().unwrap_or_else(|_| Err("it panicked".to_owned())))
        });
        for table in tables {
            ensure(table? == first, "it gives another table the second time")?;
        }
    }
    Ok(())
}

/// A rule that fits and predicts in this process.
struct Bench {
    native: Native,
    params: Params,
    missing: bool,
}

impl Bench {
    fn new(file: &Path) -> Result<Self, Finding> {
        Self::in_host(&HOST_STRUCT, file)
    }

    fn in_host(host: &'static StaticHost, file: &Path) -> Result<Self, Finding> {
        let native = Native::load_into(host, file).map_err(|error| error.to_string())?;
        let json = native.descriptor()?;
        let id = serde_json::from_str::<Descriptor>(&json).map_err(|error| error.to_string())?;
        let params = schema::params(&id.params, &serde_json::Map::new())
            .map_err(|_| Finding::Nothing("it has parameters without defaults".to_owned()))?;
        Ok(Self { native, params, missing: id.capabilities.accepts_missing })
    }

    fn rows(&self, seed: u64) -> Rows {
        Rows::new(64, 3, 2, self.missing, seed)
    }

    fn fit(&self, batch: &Batch) -> Result<Vec<u8>, Finding> {
        Ok(self.native.fit(batch, &self.params, 1, &StopSignal::new())?.bytes)
    }

    fn predict(&self, model: &[u8], batch: &Batch) -> Result<Vec<f64>, Finding> {
        let mut out = vec![f64::NAN; batch.rows() * batch.classes().len()];
        let stop = StopSignal::new();
        self.native.open(model, &stop)?.predict(batch, &mut out, &stop)?;
        Ok(out)
    }
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn heap_in_use() -> Option<usize> {
    // SAFETY: asks the allocator for its counts.
    Some(unsafe { libc::mallinfo2() }.uordblks)
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn heap_in_use() -> Option<usize> {
    None
}

fn count(folder: &str) -> usize {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count())
}

fn leaks(file: &Path) -> Result<(), Finding> {
    let bench = Bench::new(file)?;
    let batch = bench.rows(2).training();
    let model = bench.fit(&batch)?;
    let cycle = || -> Result<(), Finding> { bench.predict(&model, &batch).map(drop) };
    for _ in 0..20 {
        cycle()?;
    }
    let before = heap_in_use()
        .ok_or_else(|| Finding::Nothing("the C library does not count its heap".to_owned()))?;
    let (files, threads) = (count("/proc/self/fd"), count("/proc/self/task"));
    for _ in 0..200 {
        cycle()?;
    }
    let after = heap_in_use().unwrap_or(before);
    ensure(count("/proc/self/fd") == files, "file descriptors are left open")?;
    ensure(count("/proc/self/task") == threads, "threads are left running")?;
    let grown = after.saturating_sub(before);
    // A byte for every cycle would be 200; caches of the C library move a little.
    ensure(grown < 4096, &format!("the heap has grown by {grown} bytes in 200 cycles"))
}

/// The process that runs this watches its standard output and its folder.
fn traces(file: &Path) -> Result<(), Finding> {
    let bench = Bench::new(file)?;
    let batch = bench.rows(6).training();
    let model = bench.fit(&batch)?;
    bench.predict(&model, &batch).map(drop)
}

/// `expected`: the digest of what a process fits whose host allows a single thread.
fn fit_threads(file: &Path, expected: &str) -> Result<(), Finding> {
    let bench = Bench::in_host(&HOST_OF_8_THREADS, file)?;
    let batch = Rows::new(120, 3, 2, bench.missing, 25).training();
    let fit = || -> Result<String, Finding> { Ok(Digest::hash(&bench.fit(&batch)?).to_string()) };
    ensure(fit()? == expected, "with 8 threads it gives other bytes than with 1")?;
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..8).map(|_| scope.spawn(fit)).collect();
        running.into_iter().try_for_each(|thread| {
            let panicked = |_| Err(Finding::Broken("it panicked".to_owned()));
            let same = thread.join().unwrap_or_else(panicked)? == expected;
            ensure(same, "several fits at once give other bytes than one alone")
        })
    })
}

fn threads(file: &Path) -> Result<(), Finding> {
    let bench = Bench::new(file)?;
    let batch = bench.rows(3).training();
    let stop = StopSignal::new();
    let model = bench.native.open(&bench.fit(&batch)?, &stop)?;
    let predict = || {
        let mut out = vec![f64::NAN; batch.rows() * batch.classes().len()];
        model.predict(&batch, &mut out, &stop).is_ok().then_some(out)
    };
    let expected = predict();
    let alike = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..8).map(|_| scope.spawn(|| (0..50).all(|_| predict() == expected))).collect();
        running.into_iter().all(|thread| thread.join().unwrap_or(false))
    });
    ensure(expected.is_some() && alike, "threads get other probabilities than one alone")
}

unsafe extern "C" {
    fn fegetround() -> i32;
}

fn state(file: &Path) -> Result<(), Finding> {
    let bench = Bench::new(file)?;
    let batch = bench.rows(4).training();
    let look = || {
        // SAFETY: asks for the locale's name, which is copied at once, and for the rounding mode.
        unsafe {
            let name = libc::setlocale(libc::LC_ALL, ptr::null());
            let name = if name.is_null() { None } else { Some(CStr::from_ptr(name).to_owned()) };
            (name, fegetround(), std::hint::black_box(f64::MIN_POSITIVE) / 2.0 > 0.0)
        }
    };
    let before = look();
    let model = bench.fit(&batch)?;
    bench.predict(&model, &batch)?;
    let after = look();
    ensure(before.0 == after.0, "it changes the locale")?;
    ensure(before.1 == after.1, "it changes the rounding mode")?;
    ensure(before.2 == after.2, "it changes how subnormal numbers are treated")
}
