//! `config show` and `config check`: the settings of a daemon that would start here and now, and
//! what is wrong with a file of them. Both read a file as the daemon does, and say the same of it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::out::{Out, Reply, shown};
use super::{Place, Refusal};
use crate::effects::secrets;
use crate::effects::store::read_document;
use crate::pure::command::code::Code;
use crate::pure::command::config::ConfigCall;
use crate::pure::command::typed::Typed;
use crate::pure::config::effective::{EffectiveSetting, Origins, effective};
use crate::pure::config::flags::Flags;
use crate::pure::config::{self, Settings, needs, strict_json};
use crate::pure::human::look::{Look, Style};
use crate::pure::human::table::{Cell, Column, render};

/// The settings in force.
struct ShownSettings {
    config_file: String,
    settings: Vec<EffectiveSetting>,
}

/// A file without a mistake.
struct CheckedFile(String);

/// Only the value gives way, to nothing: a cut value would be a wrong one.
const COLUMNS: &[Column] = &[
    Column::new("KEY", 2, usize::MAX),
    Column::new("VALUE", 1, usize::MAX),
    Column::new("ORIGIN", 3, usize::MAX),
];

impl Reply for ShownSettings {
    fn text(&self, look: &Look) -> String {
        let row = |setting: &EffectiveSetting| {
            let value = match &setting.value {
                None => setting.unset.to_string(),
                Some(Value::String(text)) if text.is_empty() => "\"\"".into(),
                Some(Value::String(text)) => secrets::redact(text),
                Some(value) => secrets::redact_json(&value.to_string()),
            };
            vec![
                Cell::new(setting.key),
                Cell::new(&value),
                Cell::styled(setting.origin.name(), Style::Dim),
            ]
        };
        let rows: Vec<Vec<Cell>> = self.settings.iter().map(row).collect();
        render(COLUMNS, &rows, false, &Look { width: None, ..look.clone() })
    }

    fn json(&self) -> Value {
        let mut settings = Map::new();
        for EffectiveSetting { key, value, origin, .. } in &self.settings {
            let mut setting = json!({ "origin": origin.name() });
            if let Some(value) = value {
                setting["value"] = without_secrets(value);
            }
            settings.insert((*key).into(), setting);
        }
        json!({ "config_file": self.config_file, "settings": settings })
    }
}

impl Reply for CheckedFile {
    fn text(&self, look: &Look) -> String {
        format!("no mistake in {}\n", shown(&look.path(&self.0)))
    }

    fn json(&self) -> Value {
        json!({ "config_file": self.0, "ok": true })
    }
}

fn without_secrets(value: &Value) -> Value {
    serde_json::from_str(&secrets::redact_json(&value.to_string())).unwrap_or_default()
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    match ConfigCall::of(typed).map_err(Refusal::WrongUsage)? {
        ConfigCall::Show => out.answer(&show(place, &typed.flags).map_err(Refusal::NotDone)?)?,
        ConfigCall::Check(file) => out.answer(&check(place, &file).map_err(Refusal::NotDone)?)?,
    }
    Ok(Code::Done)
}

fn show(place: &Place, flags: &Flags) -> Result<ShownSettings, String> {
    let bytes = place.store.read_config().map_err(|e| e.to_string())?;
    let (settings, _) = place.settings_with(flags)?;
    needs::contradiction(&settings).map_or(Ok(()), Err)?;
    let file = bytes.map(|bytes| strict_json::parse(&bytes)).transpose()?.unwrap_or_default();
    let variables = place.variables();
    let settings = effective(&settings, &Origins { file: &file, variables, flags });
    let config_file = place.store.config_path().display().to_string();
    Ok(ShownSettings { config_file, settings })
}

fn check(place: &Place, file: &Path) -> Result<CheckedFile, String> {
    let bytes = read_document(Some(file)).map_err(|e| e.to_string())?;
    let mut settings = Settings::default();
    let name = file.display().to_string();
    let read = place.drivers.read_config(&mut settings, &bytes).and_then(|()| {
        let why = needs::contradiction(&settings).map(|why| config::with_line(&bytes, &why));
        why.map_or(Ok(()), Err)
    });
    read.map_err(|e| config::mistake_in(&name, &e))?;
    Ok(CheckedFile(name))
}
