// JSON appended to a string, without a tree in between: one of these is written for every item of every job.
//
// All text comes out as valid UTF-8 JSON whatever bytes it holds: control characters are escaped, bytes that
// are no UTF-8 become U+FFFD. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "proto/imgfleet/v1/image.pb.h"
#include "proto/imgfleet/v1/jobs.pb.h"

namespace imgfleet::outcome {

// `"text"`, quotes included.
void AppendJsonString(absl::string_view text, std::string& out);

// One full outcome as one object on one line, without the line's end:
//
//   {"index":0,"id":"0","url":"https://...","status":"ok","format":"jpeg","width":800,"height":600,"display_width":600,
//    "display_height":800,"orientation":6,"size_bytes":20413,"fetched_bytes":16384,"animated":false,"frames":null,
//    "bit_depth":8,"channels":3,"has_alpha":false,"progressive":null,"mime":"image/jpeg","size_source":
//    "CONTENT_RANGE", MORE, FETCH}
//   {"index":1,"id":"1","url":"https://...","status":"error","error":{"reason":"HTTP_STATUS","message":"...",
//    "retryable":false,"http_status":404}, "fetched_bytes":512, FETCH}
//
// Of these, a field that the header did not tell is null. MORE are those of the following that are known; one
// that is not is left out:
//
//   "loop_count":0,"has_icc":true,"color_space":"ycbcr","dpi_x":72,"dpi_y":72.5,
//   "variants":[{"width":16,"height":16,"bit_depth":32,"size_bytes":1128},...]   (bit_depth where the directory says)
//   "svg":{"width":"10em","height":"100%","view_box":"0 0 3 4"}                  (those that the file has)
//   "sha256":"64 hexadecimal digits","complete":true,
//   "pixels":{"decoded":true,"phash":"16 hexadecimal digits","average_color":"#rrggbb","dominant_color":"#rrggbb",
//    "blurhash":"..."}              (with an "error" as below where decoding gave one)
//
// `error` has `http_status` or `line` where they are known.
// FETCH is "attempts", "http_status", those of "final_url", "content_type", "content_type_wrong", "etag",
// "last_modified" that are known, and "timings_us":{"dns":..,"connect":..,"tls":..,"first_byte":..,"total":..}; all of it is absent,
// and so is fetched_bytes, where nothing was sent.
void AppendOutcomeJson(const v1::Outcome& outcome, std::string& out);

// The member that API v1 shows for an item, without a comma:
//
//   "0": {"url": "https://...", "image_info": {"image_size": 20413, "image_dimension": [800, 600],
//   "image_format":
//        "JPEG"}}
//   "1": {"url": "https://...", "image_info": "", "error": "Image could not be requested.", "reason":
//   "DNS_FAILURE"}
void AppendV1Entry(const v1::Outcome& outcome, std::string& out);

// The words of color_space: "gray", "rgb", ...; empty where it is not known.
absl::string_view ColorSpaceName(v1::ColorSpace space);

// Two lower-case digits for each byte of `bytes`.
void AppendHex(absl::string_view bytes, std::string& out);

// `number` in the fewest digits that give it back; it must be finite.
void AppendReal(float number, std::string& out);

// The name that Pillow has for one of ImageInfo.format's words ("JPEG", "HEIF" for heic, "JPEG2000" for jp2 and j2k, "PPM"
// for pnm), upper case for any other.
std::string PillowName(absl::string_view format);

// A job as the REST API shows it, one object:
//
//   {"id":"0190...","state":"RUNNING","kind":"measure","display_name":"","items":5005,"succeeded":4000,"failed":5,
//    "pending":1000,"reasons":{"DNS_FAILURE":5},"fetched_bytes":123,"items_per_second":812.5,"eta_seconds":1.2,
//    "summary":"...","failure":"...","priority":0,"paused":false,"parent_id":"0190...","schedule_id":"0190...",
//    "create_time":"2026-03-01T12:00:00.123456Z","end_time":null,"last_commit_seq":16}
//
// `pending` counts the items known so far that have no outcome yet; in an ended job, those that never got
// one. `items_per_second` is the average from the job's creation to its end, or to `now` (wall time);
// `eta_seconds` is null unless the job is RUNNING and has a rate. `failure` is there only where the job
// FAILED, `parent_id` where it tries the failed items of another job again, `schedule_id` where a schedule made it.
void AppendJobJson(const v1::Job& job, absl::Time now, std::string& out);

// A schedule as the REST API shows it, one object:
//
//   {"id":"0190...","kind":"measure","display_name":"","filepath":"lists/daily.tsv","every_seconds":3600,"priority":0,
//    "paused":false,"next_time":"2026-03-01T12:00:00.000000Z","last_job_id":"0190...","create_time":"..."}
//
// Where a cron expression says when, "cron":"30 4 * * mon" stands in place of every_seconds. `last_job_id` is null until it
// has fired.
void AppendScheduleJson(const v1::Schedule& schedule, std::string& out);

}  // namespace imgfleet::outcome
