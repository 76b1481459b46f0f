//! Measures of plain writing in the source: three figures that a reader notices.

use std::error::Error;
use std::path::Path;
use std::process::Command;

/// First words of a comment that opens with a question in place of a noun.
const RIDDLES: [&str; 6] = ["What", "How", "Where", "Whether", "Who", "Which"];
/// Columns that a line may have.
const COLUMNS: usize = 100;

/// Goals: shares of comment lines that begin so, and of lines that are longer.
const MOST_RIDDLES: f64 = 0.05;
const MOST_LONG: f64 = 0.003;

/// Counts of one file, or of all.
#[derive(Default)]
struct Counts {
    comments: usize,
    riddles: usize,
    lines: usize,
    long: usize,
    /// Functions called `of`, a name that does not tell the type.
    of: usize,
}

impl Counts {
    fn of_text(text: &str) -> Self {
        let mut counts = Self::default();
        for line in text.lines() {
            counts.lines += 1;
            counts.long += usize::from(line.chars().count() > COLUMNS);
            let line = line.trim_start();
            counts.of += usize::from(
                ["fn of(", "fn of<"]
                    .iter()
                    .any(|name| line.starts_with(name) || line.contains(&format!(" {name}"))),
            );
            let Some(comment) = line.strip_prefix("//") else { continue };
            let comment = comment.strip_prefix(['/', '!']).unwrap_or(comment);
            counts.comments += 1;
            let first = comment.split_whitespace().next().unwrap_or_default();
            counts.riddles += usize::from(RIDDLES.contains(&first));
        }
        counts
    }

    fn add(&mut self, other: &Self) {
        self.comments += other.comments;
        self.riddles += other.riddles;
        self.lines += other.lines;
        self.long += other.long;
        self.of += other.of;
    }
}

/// Prints the figures of all Rust files that git knows, and the files with most to improve.
pub fn measure(root: &Path) -> Result<(), Box<dyn Error>> {
    let listed = Command::new("git").current_dir(root).args(["ls-files", "*.rs"]).output()?;
    let mut all = Counts::default();
    let mut files = Vec::new();
    for name in String::from_utf8(listed.stdout)?.lines() {
        // A file that was removed and not committed yet.
        let Ok(text) = std::fs::read_to_string(root.join(name)) else { continue };
        let counts = Counts::of_text(&text);
        all.add(&counts);
        files.push((counts, name.to_owned()));
    }
    let share = |part: usize, whole: usize| part as f64 / whole.max(1) as f64;
    let (riddles, long) = (share(all.riddles, all.comments), share(all.long, all.lines));
    let mut text = format!(
        "lines of comments that begin with {}: {} of {} ({:.1} %, at most {:.0} %)\n\
         lines over {COLUMNS} columns: {} of {} ({:.2} %, at most {:.1} %)\n\
         functions called `of`: {} (none)\n",
        RIDDLES.join(", "),
        all.riddles,
        all.comments,
        100.0 * riddles,
        100.0 * MOST_RIDDLES,
        all.long,
        all.lines,
        100.0 * long,
        100.0 * MOST_LONG,
        all.of,
    );
    files.sort_by_key(|(counts, _)| std::cmp::Reverse(counts.riddles + counts.long));
    for (counts, name) in files.iter().take(10) {
        text += &format!("  {:4} {:4}  {name}\n", counts.riddles, counts.long);
    }
    #[expect(clippy::print_stdout, reason = "the answer that the person asked for")]
    {
        print!("{text}");
    }
    match riddles <= MOST_RIDDLES && long <= MOST_LONG && all.of == 0 {
        true => Ok(()),
        false => Err("the source is not as plain as it should be".into()),
    }
}
