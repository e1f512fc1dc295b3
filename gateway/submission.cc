#include "gateway/submission.h"

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "boost/json.hpp"
#include "common/outcome/json.h"
#include "common/status.h"

namespace imgfleet::gateway {
namespace {

namespace json = boost::json;

constexpr int kMaxDepth = 8;
constexpr int64_t kMaxTimeoutMs = 24 * 3600 * 1000;

absl::string_view View(const json::string& text) { return {text.data(), text.size()}; }

absl::Status Wrong(absl::string_view member, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("\"", member, "\" ", what));
}

// What comes inline, as the lines of a list and, as long as they are few, as items.
struct Inline {
  std::string lines;
  std::vector<v1::Item> few;
  size_t count = 0;

  void Add(const v1::Item& item) {
    if (++count <= Submission::kFew) few.push_back(item);
    if (count == Submission::kFew + 1) few.clear();
  }
};

absl::Status AppendUrls(const json::value& urls, Inline& to) {
  if (!urls.is_array()) return Wrong("urls", "is to be an array of strings");
  for (const json::value& url : urls.get_array()) {
    if (!url.is_string()) return Wrong("urls", "holds something that is no string");
    outcome::AppendJsonString(View(url.get_string()), to.lines);
    to.lines += '\n';
    v1::Item item;
    item.set_url(std::string(View(url.get_string())));
    to.Add(item);
  }
  return absl::OkStatus();
}

absl::Status AppendItem(const json::value& item, Inline& to) {
  const json::object* object = item.if_object();
  if (object == nullptr) return Wrong("items", "holds something that is no object");
  const json::value* url = object->if_contains("url");
  if (url == nullptr || !url->is_string()) return Wrong("items", "holds an item without a \"url\"");
  std::string& lines = to.lines;
  v1::Item added;
  lines += '{';
  if (const json::value* id = object->if_contains("id"); id != nullptr && !id->is_null()) {
    std::string text;
    if (id->is_string()) {
      text = std::string(View(id->get_string()));
    } else if (id->is_int64() || id->is_uint64()) {
      text = id->is_int64() ? absl::StrCat(id->get_int64()) : absl::StrCat(id->get_uint64());
    } else {
      return Wrong("items", "holds an \"id\" that is neither string nor whole number");
    }
    lines += "\"id\":";
    outcome::AppendJsonString(text, lines);
    lines += ',';
    added.set_id(std::move(text));
  }
  lines += "\"url\":";
  outcome::AppendJsonString(View(url->get_string()), lines);
  lines += "}\n";
  added.set_url(std::string(View(url->get_string())));
  to.Add(added);
  return absl::OkStatus();
}

absl::Status AppendItems(const json::value& items, Inline& to) {
  if (!items.is_array()) return Wrong("items", "is to be an array of objects");
  for (const json::value& item : items.get_array()) RETURN_IF_ERROR(AppendItem(item, to));
  return absl::OkStatus();
}

absl::Status ReadDepth(const json::value& value, v1::Measure& measure) {
  const json::string* name = value.if_string();
  if (name != nullptr && *name == "header") {
    measure.set_depth(v1::HEADER);
  } else if (name != nullptr && *name == "full") {
    measure.set_depth(v1::FULL);
  } else if (name != nullptr && *name == "pixels") {
    measure.set_depth(v1::PIXELS);
  } else {
    return Wrong("depth", "is to be \"header\", \"full\" or \"pixels\"");
  }
  return absl::OkStatus();
}

absl::Status ReadLimits(const json::value& value, v1::FetchLimits& limits) {
  const json::object* object = value.if_object();
  if (object == nullptr) return Wrong("limits", "is to be an object");
  for (const auto& [key, given] : *object) {
    const std::string member = absl::StrCat("limits.", absl::string_view(key.data(), key.size()));
    if (!given.is_int64() || given.get_int64() <= 0) return Wrong(member, "is to be a positive whole number");
    const int64_t number = given.get_int64();
    if (key == "attempt_timeout_ms" && number <= kMaxTimeoutMs) {
      limits.mutable_attempt_timeout()->set_seconds(number / 1000);
      limits.mutable_attempt_timeout()->set_nanos(static_cast<int32_t>(number % 1000 * 1'000'000));
    } else if (key == "max_attempts" && number <= UINT32_MAX) {
      limits.set_max_attempts(static_cast<uint32_t>(number));
    } else if (key == "max_body_bytes") {
      limits.set_max_body_bytes(static_cast<uint64_t>(number));
    } else if (key == "attempt_timeout_ms" || key == "max_attempts") {
      return Wrong(member, "is too large");
    } else {
      return Wrong(member, "is none of attempt_timeout_ms, max_attempts, max_body_bytes");
    }
  }
  return absl::OkStatus();
}

absl::Status ReadSchedule(const json::value& value, Submission& submission) {
  const json::object* object = value.if_object();
  if (object == nullptr || object->size() != 1) {
    return Wrong("schedule", "is to be {\"every_seconds\": ...} or {\"cron\": ...}");
  }
  const auto& [key, given] = *object->begin();
  if (key == "every_seconds" && given.is_int64() && given.get_int64() > 0) {
    submission.every_seconds = given.get_int64();
  } else if (key == "cron" && given.is_string() && !given.get_string().empty()) {
    submission.cron = std::string(View(given.get_string()));
  } else {
    return Wrong("schedule", "is to hold a positive whole number of seconds or a cron expression");
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> ReadPriority(const json::value& value) {
  if (!value.is_int64() || value.get_int64() < -4 || value.get_int64() > 4) {
    return Wrong("priority", "is to be a whole number from -4 to 4");
  }
  return static_cast<int32_t>(value.get_int64());
}

json::value Parse(absl::string_view body, json::error_code& error, json::storage_ptr memory) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  return json::parse({body.data(), body.size()}, error, std::move(memory), options);
}

// A member that is not the list. Sets `known` to whether there is one of that name.
absl::Status ReadOption(absl::string_view key, const json::value& value, Submission& submission,
                        bool& known) {
  v1::JobSpec& spec = submission.spec;
  known = true;
  if (key == "kind") {
    if (value.is_string() && value.get_string() == "measure") return absl::OkStatus();
    return Wrong("kind", "is to be \"measure\"");
  }
  if (key == "name") {
    if (!value.is_string()) return Wrong("name", "is to be a string");
    spec.set_display_name(std::string(View(value.get_string())));
    return absl::OkStatus();
  }
  if (key == "priority") {
    ASSIGN_OR_RETURN(submission.priority, ReadPriority(value));
    return absl::OkStatus();
  }
  if (key == "schedule") return ReadSchedule(value, submission);
  if (key == "limits") return ReadLimits(value, *spec.mutable_limits());
  known = false;
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<int32_t> ParsePriority(absl::string_view body) {
  json::monotonic_resource memory;
  json::error_code error;
  const json::value parsed = Parse(body, error, &memory);
  const json::object* object = error ? nullptr : parsed.if_object();
  if (object == nullptr || object->size() != 1 || !object->contains("priority")) {
    return absl::InvalidArgumentError("the body is to be {\"priority\": ...}");
  }
  return ReadPriority(object->at("priority"));
}

absl::StatusOr<Submission> ParseSubmission(absl::string_view body, Strangers strangers) {
  json::monotonic_resource memory;
  json::error_code error;
  const json::value parsed = Parse(body, error, &memory);
  if (error) return absl::NotFoundError(absl::StrCat("the body is no JSON: ", error.message()));
  const json::object* object = parsed.if_object();
  if (object == nullptr) return absl::NotFoundError("the body is no JSON object");

  Submission submission;
  submission.spec.mutable_measure();
  Inline given;
  int lists = 0;
  for (const auto& [key, value] : *object) {
    const absl::string_view name(key.data(), key.size());
    if (name == "filepath") {
      ++lists;
      if (!value.is_string() || value.get_string().empty()) return Wrong("filepath", "is to be a path");
      submission.filepath = std::string(View(value.get_string()));
    } else if (name == "urls") {
      ++lists;
      RETURN_IF_ERROR(AppendUrls(value, given));
    } else if (name == "items") {
      ++lists;
      RETURN_IF_ERROR(AppendItems(value, given));
    } else if (name == "depth") {
      RETURN_IF_ERROR(ReadDepth(value, *submission.spec.mutable_measure()));
    } else if (strangers == Strangers::kRefuse) {
      bool known = false;
      RETURN_IF_ERROR(ReadOption(name, value, submission, known));
      if (!known) return Wrong(name, "is not known here");
    }
  }
  if (lists == 0) return absl::NotFoundError("the body names no list: \"filepath\", \"urls\" or \"items\"");
  if (lists > 1)
    return absl::InvalidArgumentError("only one of \"filepath\", \"urls\" and \"items\" can be given");
  submission.list = std::move(given.lines);
  submission.few = std::move(given.few);
  const bool scheduled = submission.every_seconds > 0 || !submission.cron.empty();
  if (scheduled && submission.filepath.empty()) {
    return Wrong("schedule", "wants a list that is read anew each time: name it as \"filepath\"");
  }
  if (submission.filepath.empty() && submission.list.empty()) {
    submission.list = "id\turl\n";
    submission.list_format = v1::TSV;
  }
  return submission;
}

}  // namespace imgfleet::gateway
