// node home.js DIR COUNT: makes DIR a $GSTACK_HOME in which COUNT dispatches have ended in the last 24 hours, of all kinds.
// What decides is the number of each, so that the same call makes the same dispatches.
"use strict";
const fs = require("fs");
const path = require("path");

const [dir, count] = [process.argv[2], Number(process.argv[3])];
const now = Date.now();
const stamp = ms => new Date(ms).toISOString();
const finished = path.join(dir, "dispatchd", "finished");
fs.mkdirSync(finished, { recursive: true });
fs.mkdirSync(path.join(dir, "dispatch"), { recursive: true });

const projects = ["shop", "api", "docs", "infra/terraform", "a-project-with-a-rather-long-name", "日本語", "<b>bold</b>"];
const agents = ["claude", "claude", "codex", "gemini"];
const tasks = [
  "Fix the flaky test in the checkout flow",
  "Update the dependencies and run all checks.\nOpen a pull request with what changed.",
  "Write the migration guide",
  "<script>document.title = 'owned'</script><img src=x onerror=alert(1)>",
  "Rename the service, everywhere that it is named, including in the deployment; say in the end what could not be renamed and why it could not",
];
const errors = { failed: ["logic_error", "rate_limit", "tool_failure"], timeout: ["timeout"], cancelled: ["cancelled"] };

for (let n = 0; n < count; n++) {
  const id = `dispatch-${String(n).padStart(6, "0")}`;
  const status = n % 11 === 3 ? "failed" : n % 23 === 5 ? "timeout" : n % 31 === 7 ? "cancelled" : "completed";
  const error_type = errors[status] && errors[status][n % errors[status].length];
  const ended = now - Math.floor(((n + 0.5) / Math.max(count, 1)) * 23.5 * 3600e3) - 60e3;
  const retried = n % 6 === 2;
  const length = 20 + (n * 37) % 900;
  const attempts = [];
  let at = ended - length * 1000;
  for (let number = 1; number <= (retried ? 2 : 1); number++) {
    const duration = retried ? (length - 30) / 2 : length;
    const last = number === (retried ? 2 : 1);
    attempts.push({
      attempt: number, started_at: stamp(at), duration, session_id: `0f8b4c1e-0000-4000-8000-${String(n).padStart(12, "0")}`,
      resumed: number > 1, exit_code: last && !error_type ? 0 : 1, ...(last ? {} : { error_type: "rate_limit", error: "API Error: 429" }),
      num_turns: 3 + n % 30, total_cost_usd: (n % 90) / 100, input_tokens: 1000 * (n % 400), output_tokens: 100 * (n % 60),
    });
    at += (duration + 30) * 1000;
  }
  const report = {
    dispatch_id: id, status, duration: length, target_agent: agents[n % agents.length], project: projects[n % projects.length],
    started_at: attempts[0].started_at, finished_at: stamp(ended), attempts, retry_count: attempts.length - 1, num_turns: 3 + n % 30,
    total_cost_usd: (n % 90) / 100, input_tokens: 1000 * (n % 400), output_tokens: 100 * (n % 60), commits: n % 3,
    git: { branch: "main", commits: n % 3 }, result: "All of it is done, and the tests pass.",
    ...(error_type ? { error_type, error: "It could not be done, since a < b & \"c\"." } : {}),
    ...(n % 5 === 0 ? { pr: `https://github.com/example/shop/pull/${n}` } : {}),
    ...(n % 9 === 0 ? { warnings: ["unknown field prio: did you mean project?"] } : {}),
  };
  const folder = path.join(finished, id);
  fs.mkdirSync(folder);
  const write = (name, value) => fs.writeFileSync(path.join(folder, name), JSON.stringify(value));
  write("report.json", report);
  write("dispatch.json", { id, task: tasks[n % tasks.length], project: report.project, project_dir: `/srv/${n % projects.length}` });
  write("accepted.json", { seq: n + 1, accepted_at: stamp(Date.parse(attempts[0].started_at) - (n % 4) * 200e3), sha256: "", inbox_name: "", inbox_file: { dev: 0, ino: 0 }, inbox_dir: { dev: 0, ino: 0 } });
}
const line = (ms, event) => JSON.stringify({ ts: stamp(ms), ...event }) + "\n";
const hold = { dispatch_id: "", agent: "claude", kind: "usage_limit" };
fs.writeFileSync(path.join(dir, "dispatch", "audit.jsonl"), count < 2 ? "" :
  line(now - 9 * 3600e3, { event: "hold_started", ...hold, until: stamp(now - 6 * 3600e3), reason: "five_hour" }) +
  line(now - 7 * 3600e3, { event: "hold_ended", ...hold, why: "probe" }));
