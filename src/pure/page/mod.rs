//! The page of `report --html`: one file that loads nothing and runs nothing but its own script.
//!
//! Owns what stands on it and how much of it. Whatever comes from outside is escaped where it is
//! put into the page ([`html`]), and the page's own policy lets only the style and the script run
//! whose digests it names; no attribute holds a style, since such a policy forbids that.

mod dispatches;
mod html;
mod timeline;

use std::fmt::Write;

use html::{Html, text};

use super::human::amount;
use super::human::look::Look;
use super::tally::{EndedDispatch, Numbers, Share, Tally, percent};
use super::text::base64;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page. `ended` stands in the order in which it is listed; what is not in the table (there is
/// an end to how much is) is in the numbers all the same.
pub fn page(tally: &Tally, ended: &[EndedDispatch], look: &Look, version: &str) -> String {
    let window = window(tally, look);
    let title = format!("Dispatches, {window}");
    let made = format!("made {}", look.stamp(look.now_ms));
    let fill = |name: &str, page: &mut Html| match name {
        "style-hash" => page.push_str(&digest(STYLE)),
        "script-hash" => page.push_str(&digest(SCRIPT)),
        "style" => page.push_str(STYLE),
        "script" => page.push_str(SCRIPT),
        "title" => text(page, &title),
        "window" => text(page, &window),
        "made" => text(page, &made),
        "version" => text(page, version),
        "summary" => summary(tally, page),
        "timeline" => timeline::timeline(tally, ended, look, page),
        "shares" => shares(tally, page),
        "dispatches" => dispatches::dispatches(ended, look, page),
        _ => {}
    };
    let mut page = Html::new();
    let mut rest = TEMPLATE;
    while let Some((before, after)) = rest.split_once("{{") {
        page.push_str(before);
        let Some((name, behind)) = after.split_once("}}") else { break };
        fill(name, &mut page);
        rest = behind;
    }
    page.push_str(rest);
    page
}

/// What Content-Security-Policy names an inline text by (CSP 3, section 2.3.1).
fn digest(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    format!("sha256-{}", base64::encode(digest.as_ref()))
}

fn window(tally: &Tally, look: &Look) -> String {
    let until = look.stamp(tally.window.until_ms);
    match tally.window.since_ms {
        Some(since) => format!("{} until {until}", look.stamp(since)),
        None => format!("all until {until}"),
    }
}

fn summary(tally: &Tally, page: &mut Html) {
    let all = &tally.all;
    let hours = format!("{:.1}", all.duration as f64 / 3600.0);
    let tokens = |count: Option<u64>| count.map_or("unknown".into(), amount::count);
    let ended = format!(
        "{} completed, {} failed, {} timeout, {} cancelled",
        all.completed, all.failed, all.timeout, all.cancelled
    );
    let items = [
        ("Ended", all.dispatches.to_string()),
        ("Success", if all.dispatches == 0 { "none".into() } else { percent(all) }),
        ("Cost", all.total_cost_usd.map_or("unknown".into(), amount::usd)),
        ("Agent hours", hours),
        ("Tokens in", tokens(all.input_tokens)),
        ("Tokens out", tokens(all.output_tokens)),
        ("Retries", all.retries.to_string()),
        ("Commits", all.commits.to_string()),
        ("Rejected files", tally.rejected.to_string()),
    ];
    page.push_str("<dl>");
    for (name, value) in items {
        let _ = write!(page, "<div><dt>{name}</dt><dd>");
        text(page, &value);
        page.push_str("</dd></div>");
    }
    page.push_str("</dl>\n");
    if all.dispatches > 0 {
        page.push_str("<p>");
        text(page, &ended);
        page.push_str("</p>");
    }
}

fn shares(tally: &Tally, page: &mut Html) {
    if tally.all.dispatches == 0 {
        return;
    }
    page.push_str("<h2>Totals</h2>\n<div class=scroll tabindex=0 role=region aria-label=Totals>");
    table("By project", "Project", &tally.projects, page);
    table("By agent", "Agent", &tally.agents, page);
    page.push_str("</div>\n");
    if !tally.error_types.is_empty() {
        page.push_str("<p>Errors: ");
        let told = tally.error_types.iter().map(|(kind, count)| format!("{kind} {count}"));
        text(page, &told.collect::<Vec<_>>().join(", "));
        page.push_str("</p>");
    }
}

fn table(caption: &str, first: &str, shares: &[Share], page: &mut Html) {
    let _ = write!(page, "<table><caption>{caption}</caption><thead><tr><th scope=col>{first}");
    let heads = [
        "Ended",
        "Completed",
        "Failed",
        "Timeout",
        "Cancelled",
        "Success",
        "Hours",
        "Cost",
        "Tokens in",
        "Tokens out",
        "Retries",
        "Commits",
    ];
    for head in heads {
        let _ = write!(page, "<th scope=col>{head}");
    }
    page.push_str("<tbody>");
    for Share { name, numbers, .. } in shares {
        page.push_str("<tr><td>");
        text(page, if name.is_empty() { "?" } else { name });
        for cell in cells(numbers) {
            page.push_str("<td>");
            text(page, &cell);
        }
    }
    page.push_str("</table>\n");
}

fn cells(numbers: &Numbers) -> [String; 12] {
    let count = |tokens: Option<u64>| tokens.map(amount::count).unwrap_or_default();
    [
        numbers.dispatches.to_string(),
        numbers.completed.to_string(),
        numbers.failed.to_string(),
        numbers.timeout.to_string(),
        numbers.cancelled.to_string(),
        percent(numbers),
        format!("{:.1}", numbers.duration as f64 / 3600.0),
        numbers.total_cost_usd.map(amount::usd).unwrap_or_default(),
        count(numbers.input_tokens),
        count(numbers.output_tokens),
        numbers.retries.to_string(),
        numbers.commits.to_string(),
    ]
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
