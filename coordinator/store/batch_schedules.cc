// The ledger's verbs about schedules, and their firing.
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "common/status.h"
#include "coordinator/core/schedule.h"
#include "coordinator/store/batch.h"

namespace imgfleet::store {
namespace {

// Schedules that one transaction fires.
constexpr size_t kFireAtOnce = 64;

absl::Status NoSchedule(const std::string& id) {
  return absl::NotFoundError(absl::StrCat("there is no schedule ", id));
}

}  // namespace

absl::Status Batch::CreateSchedule(const core::Schedule& schedule, absl::StatusOr<core::Schedule>& answer) {
  core::Schedule row = schedule;
  row.next_time = row.create_time;
  absl::Status valid = core::CheckSchedule(row);
  if (valid.ok()) valid = core::CheckPriority(row.priority);
  if (!valid.ok()) {
    answer = valid;
    return absl::OkStatus();
  }
  row.next_time = core::NextTime(row, wall_);
  const absl::Status inserted = transaction_.InsertSchedule(row);
  if (!inserted.ok() && !absl::IsAlreadyExists(inserted)) return inserted;
  schedules_changed_ = true;
  answer = row;
  if (!inserted.ok()) answer = inserted;
  return absl::OkStatus();
}

absl::Status Batch::PauseSchedule(const std::string& id, bool paused,
                                  absl::StatusOr<core::Schedule>& answer) {
  ASSIGN_OR_RETURN(std::optional<core::Schedule> row, transaction_.GetSchedule(id));
  if (!row) {
    answer = NoSchedule(id);
    return absl::OkStatus();
  }
  if (row->paused && !paused) row->next_time = core::NextTime(*row, wall_);
  row->paused = paused;
  schedules_changed_ = true;
  RETURN_IF_ERROR(transaction_.UpdateSchedule(*row));
  answer = *std::move(row);
  return absl::OkStatus();
}

absl::Status Batch::DeleteSchedule(const std::string& id, absl::Status& answer) {
  answer = transaction_.DeleteSchedule(id);
  if (absl::IsNotFound(answer)) {
    answer = NoSchedule(id);
    return absl::OkStatus();
  }
  schedules_changed_ = true;
  return std::exchange(answer, absl::OkStatus());
}

absl::Status Batch::FireSchedules() {
  schedules_changed_ = true;
  ASSIGN_OR_RETURN(std::vector<core::Schedule> due, transaction_.DueSchedules(wall_, kFireAtOnce));
  for (core::Schedule& schedule : due) RETURN_IF_ERROR(Fire(std::move(schedule)));
  return absl::OkStatus();
}

absl::Status Batch::Fire(core::Schedule schedule) {
  const absl::Time due = schedule.next_time;
  schedule.next_time = core::NextTime(schedule, wall_);
  ASSIGN_OR_RETURN(const bool ended, HasEnded(schedule.last_job));
  if (!ended) return transaction_.UpdateSchedule(schedule);
  core::NewJob job;
  job.id = core::FiringId(schedule, due, wall_);
  job.owner = schedule.owner;
  job.spec = schedule.spec;
  job.source = schedule.source;
  job.create_time = wall_;
  job.priority = schedule.priority;
  job.schedule = schedule.id;
  bool fresh = false;
  absl::StatusOr<core::Job> answer = core::Job();
  ASSIGN_OR_RETURN(JobRow * row, Begin(job, /*items=*/0, answer, fresh));
  if (Declared again = TakeAgain(); !again.empty()) {
    // It stays due.
    names_passed_over_.insert(again.names.begin(), again.names.end());
    return absl::OkStatus();
  }
  if (fresh) {
    core::TakeUp(Touch(*row), "", transaction_.Now());
    schedule.last_job = job.id;
    lists_waiting_ = true;
  } else {
    log::Warning("schedule %s passes this time over: %s", schedule.id, answer.status().ToString());
  }
  return transaction_.UpdateSchedule(schedule);
}

}  // namespace imgfleet::store
