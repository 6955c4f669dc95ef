//! `make bench [AGAINST='a command']`: how fast and how small, on this machine, beside what the
//! disk and the machine allow, beside another daemon with the same drop zone, and against an
//! earlier run.
//!
//! `disk` and `lab` are where it happens, `cases` is what is measured, `watch` and `procfs` are
//! how, `floor` and `others` are what it is measured against, `table` is what comes out. Nothing is
//! installed, nothing outside the scratch directory is touched, and what root mounts for it is gone
//! at the end. Exit: 0 done, a target missed or not; 1 something was lost (a report, an audit line)
//! or could not be done; 2 wrong usage.

mod cases;
mod daemon;
mod disk;
mod ending;
mod floor;
mod fsyncs;
mod lab;
mod machine;
mod others;
mod procfs;
mod stats;
mod table;
mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use cases::CASES;
use disk::Disk;
use lab::{FULL, Lab, OURS, QUICK};
use machine::{Machine, Sleepers};
use table::{Row, Table, Target, Unit};

const SLEEPERS: usize = 200;
const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/baseline.json");
const USAGE: &str = "usage: cargo bench --bench bench -- [OPTIONS]
  --against CMD     another daemon: a command line, to which --local-only and --max-concurrent N are added
  --quick           less of everything: minutes instead of half an hour, and rougher
  --only NAME       just this measurement (may be repeated): latency start idle output held log commands waiting burst recovery confined
  --json FILE       write the figures to FILE too (tests/bench/baseline.json is the baseline that is kept)
  --baseline FILE   compare with the figures in FILE (default: tests/bench/baseline.json, if it is there)
GSTACK_BENCH_DIR: where to measure (default: target/tmp if that is ext4 with a journal, else one made on a loop device there)";

#[derive(Default)]
struct Options {
    against: Option<String>,
    quick: bool,
    only: Vec<String>,
    json: Option<PathBuf>,
    baseline: Option<PathBuf>,
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options::default();
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            // From cargo.
            "--bench" => {}
            "--against" => options.against = Some(value()?).filter(|command| !command.is_empty()),
            "--quick" => options.quick = true,
            "--only" => options.only.push(value()?),
            "--json" => options.json = Some(value()?.into()),
            "--baseline" => options.baseline = Some(value()?.into()),
            _ => return Err(format!("unknown option: {argument}")),
        }
    }
    match options.only.iter().find(|only| CASES.iter().all(|(name, _, _)| name != only)) {
        Some(unknown) => Err(format!("there is no measurement {unknown}")),
        None => Ok(options),
    }
}

fn main() -> ExitCode {
    if std::env::args().len() == 1 {
        println!("a benchmark: it runs by `make bench`");
        return ExitCode::SUCCESS;
    }
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(e) => {
            eprintln!("{e}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let sizes = if options.quick { QUICK } else { FULL };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let disk = Disk::choose(target, sizes.room_gb);
    let lab = Lab::set_up(&disk.place, sizes, options.against.clone());
    ending::on_signals(lab.dir.clone());
    let sleepers = Sleepers::start(SLEEPERS);
    let machine = Machine::look();
    println!("ours        {OURS}");
    println!("against     {}", options.against.as_deref().unwrap_or("nobody (--against)"));
    disk.print();
    machine.print();
    disk.warn();
    let table = measure(&lab, &options);
    drop((sleepers, lab));
    table.print();
    println!("\nmeasured on {}", disk.file_system);
    disk.warn();
    finish(&table, &machine.to_json(&disk), &options, target)
}

fn measure(lab: &Lab, options: &Options) -> Table {
    let (mut table, began) = (Table::default(), Instant::now());
    let is_wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|o| o == name);
    for (name, what, run) in CASES {
        if is_wanted(name) {
            let (seconds, load) = (began.elapsed().as_secs(), machine::load());
            println!("\n{name}: {what} (after {seconds} s, load average {load:.2})");
            run(lab, &mut table);
        }
    }
    let bytes = fs::metadata(OURS).map_or(0, |meta| meta.len());
    let row = Row::new("binary.mb", "size of the binary measured here", Unit::Mb);
    table.add(row.target(Target::AtMost(5.0)).ours(Some(bytes as f64 / 1024.0 / 1024.0)));
    println!("\nmeasured in {} s", began.elapsed().as_secs());
    table
}

fn finish(table: &Table, machine: &Value, options: &Options, target: &Path) -> ExitCode {
    let about = json!({
        "against": options.against,
        "quick": options.quick,
        "only": options.only,
        "load_at_end": machine::load(),
    });
    let chosen =
        options.baseline.clone().or_else(|| Some(BASELINE.into()).filter(|p: &PathBuf| p.exists()));
    if let Some(path) = chosen {
        let read = fs::read(&path).map_err(|e| e.to_string());
        match read
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|e| e.to_string()))
        {
            Ok(baseline) => table.compare(&baseline, machine),
            Err(e) => println!("cannot compare with {}: {e}", path.display()),
        }
    }
    let result = format!("{:#}\n", table.to_json(machine, &about));
    for path in [Some(target.join("bench.json")), options.json.clone()].into_iter().flatten() {
        match fs::write(&path, &result) {
            Ok(()) => println!("written: {}", path.display()),
            Err(e) => println!("cannot write {}: {e}", path.display()),
        }
    }
    machine::warn_of_load();
    ExitCode::from(u8::from(!table.lost.is_empty()))
}
