//! A dispatch that a test sends: JSON that can be changed field by field.

use std::path::Path;

use serde_json::Value;

#[derive(Clone)]
pub struct Dispatch(pub Value);

impl Dispatch {
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Dispatch {
        self.0[key] = value.into();
        self
    }
    pub fn in_dir(self, dir: &Path) -> Dispatch {
        let text = dir.to_str().expect("UTF-8").to_string();
        self.with("project_dir", text)
    }
    pub fn id(&self) -> String {
        self.0["id"].as_str().expect("an id").to_string()
    }
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.0).expect("JSON")
    }
}
