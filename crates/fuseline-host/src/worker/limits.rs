//! Limits on the resources of a worker, and the settings that raise them.

use std::fmt;
use std::time::Duration;

use crate::conditions::{LimitOverrides, Sandbox, Sourced};

/// Limits on the resources of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Bytes of memory that the worker may use, its processes together.
    pub memory: u64,
    /// Time limit of one call.
    pub call: Duration,
    /// Time limit of loading.
    pub load: Duration,
    /// Time that a call may go on after it was asked to stop.
    pub grace: Duration,
    /// Threads of one worker, and processes of a script.
    pub tasks: u32,
    /// Confinement, where the kernel can do that.
    pub sandbox: Sandbox,
    /// Places that state the limits, for messages.
    pub origins: LimitOrigins,
}

/// Places that state limits, in words, such as `fuseline.toml:3`; none where a limit has its
/// default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitOrigins {
    /// Origin of the limit of memory.
    pub memory: Option<String>,
    /// Origin of the time limit of loading.
    pub load: Option<String>,
    /// Origin of the time limit of a call.
    pub call: Option<String>,
}

/// A limit that a user sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitName {
    Memory,
    Load,
    Call,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            memory: 4 << 30,
            call: Duration::from_secs(3600),
            load: Duration::from_secs(30),
            grace: Duration::from_secs(1),
            tasks: 256,
            sandbox: Sandbox::Default,
            origins: LimitOrigins::default(),
        }
    }
}

impl WorkerLimits {
    /// These limits, but for those that take the place of one.
    #[must_use]
    pub fn with(&self, overrides: &LimitOverrides) -> Self {
        let mut limits = self.clone();
        let LimitOverrides { memory, load, call } = overrides;
        replace(&mut limits.memory, &mut limits.origins.memory, memory);
        replace(&mut limits.load, &mut limits.origins.load, load);
        replace(&mut limits.call, &mut limits.origins.call, call);
        limits
    }

    /// The setting of a limit and its origin, in words: "`limits.call`, fuseline.toml:3".
    pub(crate) fn setting(&self, name: LimitName) -> String {
        let LimitOrigins { memory, load, call } = &self.origins;
        let (key, origin) = match name {
            LimitName::Memory => ("memory", memory),
            LimitName::Load => ("load", load),
            LimitName::Call => ("call", call),
        };
        format!("`limits.{key}`, {}", origin.as_deref().unwrap_or("by default"))
    }

    /// The limit of memory with its setting.
    pub(crate) fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit { bytes: self.memory, setting: self.setting(LimitName::Memory) }
    }

    /// The limit of memory where somebody states one.
    pub fn stated_memory_limit(&self) -> Option<MemoryLimit> {
        self.origins.memory.is_some().then(|| self.memory_limit())
    }

    /// The time that a limit gives.
    pub(crate) fn time(&self, name: LimitName) -> Duration {
        if name == LimitName::Load { self.load } else { self.call }
    }
}

/// A bound on the memory of processes, in words: "it may use 7 MiB of memory: `limits.memory`,
/// workflow.yaml:9".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// Bytes of memory of all processes together.
    pub bytes: u64,
    /// The setting and its origin, in words.
    setting: String,
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, setting } = self;
        write!(f, "it may use {} of memory: {setting}", BytesText(*bytes))
    }
}

impl MemoryLimit {
    /// Words on a use of memory that is over the limit; none within it.
    pub(crate) fn excess(&self, used: u64) -> Option<String> {
        let words = || format!("it uses {} of memory, and {self}", BytesText(used));
        (used > self.bytes).then(words)
    }
}

/// Words of Python, C++, R, the dynamic linker and the tools of the system, where memory has run out.
const OUT_OF_MEMORY: [&str; 7] = [
    "MemoryError",
    "Unable to allocate",
    "failed to map segment",
    "annot allocate memory",
    "annot allocate vector",
    "std::bad_alloc",
    "memory exhausted",
];

/// True if a text says that memory has run out.
pub fn is_out_of_memory(text: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|words| text.contains(words))
}

fn replace<T: Copy>(value: &mut T, origin: &mut Option<String>, by: &Option<Sourced<T>>) {
    if let Some(by) = by {
        *value = by.value;
        *origin = Some(by.origin.clone());
    }
}

/// Bytes as people read them: whole MiB, or less where there is no whole one.
pub(crate) struct BytesText(pub u64);

impl fmt::Display for BytesText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes < 1 << 20 => write!(f, "{bytes} B"),
            bytes => write!(f, "{} MiB", bytes >> 20),
        }
    }
}

/// A time as people read it: in the largest unit of which it is a whole number.
pub(crate) struct TimeText(pub Duration);

impl fmt::Display for TimeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let units = [("h", 3600.0), ("min", 60.0)];
        match units.into_iter().find(|(_, unit)| seconds >= *unit && seconds % unit == 0.0) {
            Some((name, unit)) => write!(f, "{} {name}", seconds / unit),
            None => write!(f, "{seconds} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stated_limit_wins_and_names_its_place() {
        let settings = WorkerLimits {
            origins: LimitOrigins {
                call: Some("fuseline.toml:3".to_owned()),
                ..Default::default()
            },
            ..WorkerLimits::default()
        };
        let memory = Some(Sourced { value: 7 << 20, origin: "workflow.yaml:9".to_owned() });
        let limits = settings.with(&LimitOverrides { memory, ..LimitOverrides::default() });
        assert_eq!(
            limits.memory_limit().to_string(),
            "it may use 7 MiB of memory: `limits.memory`, workflow.yaml:9"
        );
        assert_eq!(limits.setting(LimitName::Call), "`limits.call`, fuseline.toml:3");
        assert_eq!(limits.setting(LimitName::Load), "`limits.load`, by default");
        assert_eq!((limits.call, limits.load), (settings.call, settings.load));
    }

    #[test]
    fn times_have_units() {
        let text = |seconds: f64| TimeText(Duration::from_secs_f64(seconds)).to_string();
        assert_eq!(
            [0.5, 2.0, 90.0, 300.0, 7200.0].map(text),
            ["0.5 s", "2 s", "90 s", "5 min", "2 h"]
        );
    }
}
