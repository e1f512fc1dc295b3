// What the gateway answers, as routes. Handlers know requests, responses and the Jobs service, no sockets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "gateway/list_source.h"
#include "gateway/router.h"
#include "proto/imgfleet/v1/jobs.grpc.pb.h"

namespace imgfleet::gateway {

// What handlers work with; outlives them. Thread-safe.
struct Backend {
  v1::Jobs::Stub& jobs;
  ListFolders lists;
  const Clock& clock = Clock::System();
  // For one unary call to the coordinator.
  absl::Duration call_timeout = absl::Seconds(15);
  // How long an answer waits for a coordinator that is away, and an image for a worker with room.
  absl::Duration patience = absl::Seconds(60);
  // Whether images_info asks for few items at once (FetchNow) before it makes a job of them.
  bool express = true;
};

// POST /api/v1/images_info and images_info_async, GET /ping (API v1).
void AddImagesInfoRoutes(const Backend& backend, Router& router);

// GET /api/v1/image.
void AddImageRoute(const Backend& backend, Router& router);

// /api/v1/jobs and what lies below it.
void AddJobRoutes(const Backend& backend, Router& router);

// /api/v1/schedules and what lies below it.
void AddScheduleRoutes(const Backend& backend, Router& router);
// For POST /api/v1/jobs with "schedule": 201 and the schedule.
Task<absl::Status> CreateSchedule(const Backend& backend, const Submission& submission, Response& response);

// Which part of a listing: ?page_size=&page_token=.
struct Page {
  uint32_t size = 0;  // 0: the coordinator's default.
  std::string token;
};
// INVALID_ARGUMENT where page_size is none.
absl::StatusOr<Page> ParsePage(const Request& request);
// {"NAME":[ROWS],"next_page_token":null}
Reply PageReply(absl::string_view name, const std::vector<std::string>& rows,
                absl::string_view next_page_token);

// The page: every path that is no API path, with its script and style.
void AddPageRoutes(Router& router);

// Uploads what a request submits and waits until all of it is durable. Cancelled where the client leaves.
Task<absl::StatusOr<v1::Job>> Submit(const Backend& backend, Submission& submission, ClientGone& client);

// The media type of a request's body is JSON, or not told.
bool IsJson(absl::string_view content_type);

// A browser sent it for another site's page: with no keys to hold, such a request is all that page needs to
// use a gateway on its reader's machine.
bool IsCrossSite(const Request& request);

// What a request for one `kind` of thing ("job") is refused with before anybody is asked: what changes it comes from another
// site, or its id is none. Else the id as the coordinator has it is in `id`.
std::optional<Reply> RefuseAbout(absl::string_view kind, const Request& request, std::string* id);

}  // namespace imgfleet::gateway
