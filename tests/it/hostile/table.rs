//! How cells and their wrongs are shown: a table for each moment with targets as rows and actions
//! as columns, and a list.

use super::cells::{ACTIONS, Cell, MOMENTS, TARGETS};
use super::scene::Wrongs;

/// Under which name a wrong is kept when the wrongs of many scenes come together.
pub fn blamed(cells: &[Cell], name: String) -> String {
    match cells {
        [cell] if name.is_empty() => cell.name(),
        [cell, ..] if name.is_empty() => {
            format!("whole scene {}:{}", cell.action.name(), cell.moment.name())
        }
        _ => name,
    }
}

/// `ok`, `WRONG`, or nothing where a cell was not played.
pub fn of(cells: &[Cell], wrongs: &Wrongs) -> String {
    let mut table = String::new();
    for (moment, name) in MOMENTS {
        let of_moment: Vec<_> = cells.iter().filter(|cell| cell.moment == moment).collect();
        if of_moment.is_empty() {
            continue;
        }
        table += &format!("\n{name:<16}");
        ACTIONS.iter().for_each(|(_, action)| table += &format!("{action:>10}"));
        for target in &TARGETS {
            if !of_moment.iter().any(|cell| cell.target == target) {
                continue;
            }
            let mut row = format!("\n{:<16}", target.name);
            for (action, _) in ACTIONS {
                let mut of_target = of_moment.iter().filter(|cell| cell.target == target);
                let cell = of_target.find(|cell| cell.action == action);
                let shown = cell.map_or("", |cell| match wrongs.get(&cell.name()) {
                    Some(_) => "WRONG",
                    None => "ok",
                });
                row += &format!("{shown:>10}");
            }
            table += row.trim_end();
        }
        table += "\n";
    }
    table
}

/// What is wrong, one line each.
pub fn list(cells: &[Cell], wrongs: &Wrongs) -> String {
    let line = |(name, what): (&String, &Vec<String>)| {
        let cell = cells.iter().find(|cell| cell.name() == *name);
        let address = cell.map_or_else(|| name.clone(), Cell::address);
        format!("{address:<32} {}\n", what.join("; "))
    };
    wrongs.iter().map(line).collect()
}
