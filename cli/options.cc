#include "cli/options.h"

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/address_policy.h"
#include "common/status.h"

namespace imgfleet::cli {
namespace {

void DeclareFormat(config::Command& command, Format* format) {
  command.Choice("format", format,
                 {{"ndjson", Format::kNdjson}, {"csv", Format::kCsv}, {"json", Format::kJson}},
                 "How outcomes are written to standard output.");
}

constexpr const char* kActions[] = {"list",   "get",    "results", "pause",
                                    "resume", "cancel", "retry",   "prioritize"};
constexpr char kActionsHelp[] =
    "One of list, get, results, pause, resume, cancel, retry (what failed, as a new job), prioritize.";

constexpr const char* kScheduleActions[] = {"list", "get", "create", "pause", "resume", "delete"};
constexpr char kScheduleActionsHelp[] = "One of list, get, create, pause, resume, delete (its jobs stay).";

constexpr char kInMemory[] = "memory:";

absl::Status CheckCidr(const std::string& value) { return Cidr::Parse(value).status(); }

void DeclareFetch(config::Program& program, FetchOptions& fetch) {
  program.Integer("threads", &fetch.threads, 0, 256,
                  "Event loops that fetch; 0 takes one per core. Without --server.");
  program.Integer("concurrency", &fetch.concurrency, 1, 100'000,
                  "Items in flight at a time. Without --server.");
  program.Texts("allow-address", "CIDR", &fetch.allow_addresses,
                "Addresses that may be fetched from besides those of the public Internet. Without --server.",
                CheckCidr);
  program.Texts("map-host", "HOST[:PORT]=ADDRESS[:PORT]", &fetch.map_hosts,
                "Where a host is found, instead of asking DNS. Without --server.");
  program.Text("ca-file", "PEM", &fetch.ca_file,
               "Certificate authorities to trust besides the system's. Without --server.");
  program.Text("user-agent", "TEXT", &fetch.user_agent, "What fetches call themselves. Without --server.");
  program.Text(
      "decoder", "PATH", &fetch.decoder,
      "imgfleet-decoder, for --depth pixels; auto: beside this program; empty: none. Without --server.");
  program.Text(
      "parquet", "PATH", &fetch.parquet,
      "imgfleet-parquet, for Parquet lists; auto: beside this program; empty: none. Without --server.");
  program.Text("contact", "URL", &fetch.contact,
               "Where operators of origins reach you; sent with every fetch. Without --server.");
  program.Duration("max-retry-after", &fetch.max_retry_after, absl::ZeroDuration(), absl::Hours(1),
                   "How long items wait in the worker for an origin that asks for it; for longer they are "
                   "put off. Without --server.");
  program.Texts("polite-exempt", "HOST", &fetch.polite_exempt,
                "A host of your own: full concurrency at once, and no slowing down when it refuses. Without "
                "--server.");
}

void DeclareS3(config::Program& program, S3Options& s3) {
  program.Text("s3-endpoint", "URL", &s3.endpoint,
               "Where s3:// lists lie; empty: Amazon's servers of the region. Without --server.");
  program.Text("s3-region", "NAME", &s3.region,
               "The region that requests to S3 are signed for. Without --server.");
  program.Switch("s3-virtual-host", &s3.virtual_host,
                 "Ask --s3-endpoint for BUCKET.HOST/KEY instead of HOST/BUCKET/KEY. Without --server.");
}

void DeclareDepth(config::Command& command, v1::Depth* depth) {
  command.Choice(
      "depth", depth, {{"header", v1::HEADER}, {"full", v1::FULL}, {"pixels", v1::PIXELS}},
      "How much of an image is read: what tells format and dimensions; the whole body, for its SHA-256 and "
      "whether it is complete; or that, decoded.");
}

void DeclareInfo(config::Command& command, Options& options) {
  InfoOptions& info = options.info;
  command.Positional("list", &info.list,
                     "A file of URLs, - for standard input, or a URL: https://, http://, s3://.");
  DeclareFormat(command, &info.format);
  command.Choice("list-format", &info.list_format,
                 {{"auto", v1::LIST_FORMAT_UNSPECIFIED},
                  {"text", v1::TEXT},
                  {"tsv", v1::TSV},
                  {"csv", v1::CSV},
                  {"jsonl", v1::JSON_LINES},
                  {"json", v1::JSON},
                  {"parquet", v1::PARQUET}},
                 "How the list is written; auto tells by its name, else by how it begins.");
  command.Text("url-column", "NAME", &info.url_column, "The list's column of URLs, \"url\" unless named.");
  command.Text("id-column", "NAME", &info.id_column, "The list's column of ids, \"id\" unless named.");
  command.Text("credential", "NAME", &info.credential,
               "For a list at a URL: the coordinator's credential of that name. With --server.");
  DeclareDepth(command, &info.depth);
  command.Duration("timeout", &info.attempt_timeout, absl::Milliseconds(1), absl::Minutes(10),
                   "For one attempt at one image.");
  command.Integer("attempts", &info.max_attempts, 1, 10, "Attempts at an image whose failure may pass.");
  command.Integer("priority", &info.priority, -4, 4,
                  "The job's; each step is twice the share of the step below. With --server.");
  command.Switch("quiet", &info.quiet, "No progress bar and no closing sentence.");
}

absl::Status CheckReachable(const Options& options, absl::string_view what) {
  if (!options.info.reachable.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, " live on a server or in a file: name it with --server HOST:PORT or --store sqlite:FILE"));
}

// `names` as `help` tells of them.
template <size_t kCount>
absl::Status CheckAction(const std::string& action, const char* const (&names)[kCount],
                         absl::string_view help) {
  for (const char* name : names) {
    if (action == name) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat("there is no action \"", action, "\": o", help.substr(1)));
}

absl::Status CheckJobs(const Options& options) {
  const JobsOptions& jobs = options.jobs;
  RETURN_IF_ERROR(CheckReachable(options, "jobs"));
  if (jobs.action != "list" && jobs.job_id.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("which job? imgfleet jobs ", jobs.action, " JOB"));
  }
  return absl::OkStatus();
}

void DeclareJobs(config::Command& command, Options& options) {
  JobsOptions& jobs = options.jobs;
  command.Positional("action", &jobs.action, kActionsHelp, true);
  command.Positional("job", &jobs.job_id, "The job's id; not for list.", /*required=*/false);
  DeclareFormat(command, &jobs.format);
  command.Integer("from-index", &jobs.from_index, 0, int64_t{1} << 53, "results: the first item wanted.");
  command.Integer("priority", &jobs.priority, -4, 4,
                  "prioritize, retry: the job's; each step is twice the share of the step below.");
  command.Check([&jobs] { return CheckAction(jobs.action, kActions, kActionsHelp); });
  command.Check([&options] { return CheckJobs(options); });
}

absl::Status CheckSchedules(const Options& options) {
  const SchedulesOptions& schedules = options.schedules;
  RETURN_IF_ERROR(CheckReachable(options, "schedules"));
  const bool creates = schedules.action == "create";
  if (schedules.action != "list" && schedules.what.empty()) {
    return absl::InvalidArgumentError(
        creates ? "which list? imgfleet schedules create LIST --every=1h"
                : absl::StrCat("which schedule? imgfleet schedules ", schedules.action, " SCHEDULE"));
  }
  const bool every = schedules.every > absl::ZeroDuration();
  if (creates && every == !schedules.cron.empty()) {
    return absl::InvalidArgumentError("say when, once: --every=1h or --cron=\"30 4 * * mon\"");
  }
  if (schedules.every != absl::Trunc(schedules.every, absl::Seconds(1))) {
    return absl::InvalidArgumentError("--every: whole seconds");
  }
  return absl::OkStatus();
}

void DeclareSchedules(config::Command& command, Options& options) {
  SchedulesOptions& schedules = options.schedules;
  command.Positional("action", &schedules.action, kScheduleActionsHelp, true);
  command.Positional(
      "schedule", &schedules.what,
      "The schedule's id; for create the list, which the coordinator reads anew each time: a path "
      "below one of its list folders, or a URL.",
      /*required=*/false);
  command.Text("name", "TEXT", &schedules.name, "create: a name for people.");
  command.Duration("every", &schedules.every, absl::ZeroDuration(), absl::Hours(24 * 366),
                   "create: from one time to the next; whole seconds.");
  command.Text("cron", "EXPRESSION", &schedules.cron,
               "create: five fields as in crontab, in UTC: \"30 4 * * mon\".");
  DeclareDepth(command, &schedules.depth);
  command.Integer("priority", &schedules.priority, -4, 4,
                  "create: the jobs'; each step is twice the share of the step below.");
  command.Text("credential", "NAME", &schedules.credential,
               "create: for a list at a URL, the coordinator's credential of that name.");
  command.Check(
      [&schedules] { return CheckAction(schedules.action, kScheduleActions, kScheduleActionsHelp); });
  command.Check([&options] { return CheckSchedules(options); });
}

}  // namespace

void Declare(config::Program& program, Options& options) {
  program.Address("server", &options.server,
                  "The coordinator to work with. Without it, info does everything in this process.",
                  /*may_be_empty=*/true);
  program.Text("store", "sqlite:PATH|memory:", &options.store,
               "Where jobs done in this process are kept; in a file they can be gone on with.");
  program.Choice("log-level", &options.log_level,
                 {{"debug", log::Level::kDebug},
                  {"info", log::Level::kInfo},
                  {"warning", log::Level::kWarning},
                  {"error", log::Level::kError}},
                 "What is logged to standard error besides messages.");
  program.Check([&options] {
    const std::string server = options.server.ToString();
    options.info.server = options.jobs.server = options.schedules.server = server;
    if (!server.empty()) {
      options.info.reachable = absl::StrCat("--server=", server);
    } else if (options.store != kInMemory) {
      options.info.reachable = absl::StrCat("--store=", options.store);
    }
    return absl::OkStatus();
  });
  DeclareFetch(program, options.fetch);
  DeclareS3(program, options.s3);
  DeclareInfo(program.AddCommand("info", "Measures the images of a list."), options);
  DeclareSchedules(program.AddCommand("schedules", "Looks after what is done again and again."), options);
  DeclareJobs(program.AddCommand("jobs", "Looks after the jobs of a server, or of a file."), options);
}

}  // namespace imgfleet::cli
