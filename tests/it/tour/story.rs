//! Ten dispatches, from a directory that is empty to the page that tells of them.

use super::*;
use crate::logs::Following;

fn daemon(lab: &Lab) -> Daemon {
    let start = lab.daemon().env("TZ", "UTC0").set("--max-concurrent", 2);
    // What is being ended takes its time, so that it can be looked at.
    let start = start.set("--kill-grace", 2);
    start.set("--on-shutdown", "leave").set("--heartbeat", 0.3).start()
}

#[test]
fn ten_dispatches_are_sent_watched_steered_and_reported() {
    let lab = Lab::new();
    let (cart, login, prices) = (lab.gate("cart"), lab.gate("login"), lab.gate("prices"));
    for project in ["shop", "api", "web"] {
        lab.project(project);
    }
    let mut tour = Tour::new(&lab);

    tour.chapter("1-nothing-is-there");
    tour.see(&["status"]);
    tour.see(&["list"]);
    tour.people(&["status", "--check"]);
    tour.people(&["show", "cart"]);

    tour.chapter("2-sent-while-no-daemon-runs");
    let task = format!(
        "Make the cart faster\nfake: remember\nfake: turn I look at the tests first.\n\
         fake: tool Bash cargo test\nfake: answer running 3 tests\n\
         fake: once block {}\nfake: once result error 429 rate_limit\nfake: once exit 1\n\
         fake: result success The cart is twice as fast.",
        cart.display()
    );
    tour.submit("cart", "shop", &task);
    tour.see(&["status"]);
    tour.see(&["show", "cart"]);

    tour.chapter("3-watched");
    let mut first = daemon(&lab);
    let at_cart = cart.held();
    let task = format!("Repair the login\nfake: ignore-term\nfake: block {}", login.display());
    tour.submit("login", "api", &task);
    let _at_login = login.held();
    tour.submit("checkout", "shop", "Explain the checkout");
    let refuses = "Send the invoices\nfake: turn I must not.\nfake: once result refusal\n\
                   fake: once exit 1\nfake: result success They are sent.";
    tour.submit("invoice", "api", refuses);
    tour.submit("search", "web", "Find a search\nfake: result success Found.");
    let shows_bash = |status: &Value| status["sessions"][0]["last_tool"] == "Bash";
    tour.until("the first one's tool and three in the queue", |status| {
        shows_bash(status) && status["queued"] == 3 && status["active"] == 2
    });
    tour.see(&["status"]);
    tour.see(&["list"]);
    tour.see(&["show", "cart"]);
    tour.see(&["show", "checkout"]);
    tour.people(&["show", "search"]);
    tour.see(&["wait", "search", "--timeout", "0"]);

    tour.chapter("4-followed-through-a-restart-and-a-retry");
    let following = Following::start(&lab, "cart", &[]);
    following.shows("running 3 tests");
    assert_eq!(first.stop(), 0);
    first.left();
    tour.see(&["status"]);
    tour.people(&["show", "cart"]);
    let second = daemon(&lab);
    tour.until("both to be watched again", |status| {
        shows_bash(status) && status["sessions"][1].get("waits_for").is_none()
    });
    tour.people(&["status"]);

    tour.chapter("5-cancelled");
    tour.people(&["cancel", "checkout"]);
    tour.json(&["cancel", "checkout"]);
    tour.people(&["show", "checkout"]);
    at_cart.release();
    let (code, followed) = following.end();
    assert_eq!(code, Some(0), "{followed}");
    let said = tour.people(&["logs", "cart"]);
    assert_eq!(followed, said, "what was followed is what is told afterwards");
    tour.json(&["logs", "cart"]);
    tour.see(&["wait", "cart", "search"]);
    tour.see(&["show", "cart"]);
    tour.people(&["cancel", "login"]);
    tour.people(&["wait", "login"]);
    tour.people(&["cancel", "cart"]);

    tour.chapter("6-sent-again");
    tour.see(&["wait", "invoice"]);
    lab.settled("invoice");
    tour.see(&["list", "--failed"]);
    tour.people(&["show", "invoice"]);
    tour.people(&["logs", "invoice"]);
    tour.people(&["retry", "invoice"]);
    tour.people(&["wait", "dispatch-invoice-r2"]);
    tour.json(&["show", "dispatch-invoice-r2"]);
    tour.people(&["show", "dispatch-invoice"]);
    tour.people(&["show", "invoice"]);

    tour.chapter("7-paused");
    tour.people(&["pause", "--for", "1h"]);
    tour.json(&["pause", "--for", "1h"]);
    let task = format!("Raise the prices\nfake: block {}", prices.display());
    tour.submit("prices", "shop", &task);
    let menu = id("menu");
    let words = ["submit", "--id", &menu, "--project-dir", "web", "--task", "Draw a menu"];
    tour.json(&words);
    tour.until("both to be in the queue", |status| status["queued"] == 2);
    drop(second);
    let third = daemon(&lab);
    tour.see(&["status"]);
    tour.people(&["list", "--state", "queued"]);
    tour.people(&["resume"]);
    tour.json(&["resume"]);
    tour.people(&["wait", "menu"]);
    prices.held().release();
    tour.people(&["wait", "prices"]);

    tour.chapter("8-sent-and-waited-for");
    let dir = ["--project-dir", "web"];
    let task = "fake: turn I read the page.\nfake: result success It is about cats.";
    let words = ["submit", "--id", "dispatch-page", "--task", task, "--follow"];
    tour.people(&[&words[..], &dir].concat());
    fs::write(lab.path("plan.md"), "Plan the garden\n\nWith roses.\n").expect("a plan");
    let words = ["submit", "--id", "dispatch-plan", "--task-file", "plan.md", "--wait"];
    tour.json(&[&words[..], &dir].concat());
    let out = tour.start(&["submit", "--task", "Say something", "--project-dir", "api"]).output();
    let drawn = out.stdout.trim_end().to_string();
    assert_eq!((out.code, out.stderr.as_str(), drawn.len()), (0, "", 19), "{out:?}");
    tour.names.push((drawn.clone(), "dispatch-drawn12345".into()));
    tour.people(&["wait", &drawn]);
    lab.settled(drawn.strip_prefix("dispatch-").expect("an id"));

    tour.chapter("9-told");
    let list = tour.people(&["list"]);
    page::is_aligned(&list);
    tour.json(&["list", "--limit", "3"]);
    tour.people(&["list", "--ids"]);
    tour.see(&["report"]);
    tour.people(&["report", "--html", "page.html"]);
    let page = page::words(&text_file(lab.path("page.html")));
    // A wait of less than a second is not told.
    let page = normal::text(&page, &tour.names).replace(" waited SPAN", "");
    tour.note(&format!("The page:\n{page}"));
    drop(third);
    tour.see(&["status"]);
    tour.people(&["status", "--check"]);
    tour.compare();
}
