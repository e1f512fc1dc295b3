// The store that a name on the command line means.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/clock.h"
#include "coordinator/store/origin_board.h"
#include "coordinator/store/store.h"

namespace imgfleet::store {

// "sqlite:PATH", a connection string of libpq's ("postgresql://..." or "host=... dbname=..."), or "memory:" for one that
// ends with the process. INVALID_ARGUMENT for anything else; errors of the store as its own header says.
absl::StatusOr<std::unique_ptr<Store>> OpenStore(absl::string_view name, const Clock& clock);

// Whether a store that did not open with this error may open if it is tried again, because somebody or something mends
// what is wrong from outside meanwhile.
//
//   UNAVAILABLE         nobody answers, a name that is not known, a server that starts, is a standby or has no connection
//                       left; a file that somebody else has locked, or that cannot be read just now         yes
//   PERMISSION_DENIED   a password, a rule or a certificate of the server, a GRANT, a file's permissions    yes
//   NOT_FOUND           the server has no such database or role yet                                         yes
//   RESOURCE_EXHAUSTED  no room on a disk, no memory                                                        yes
//   ABORTED             given up for others that did the same, such as making the tables                    yes
//   INVALID_ARGUMENT    no such kind of store, not a connection string                                      no
//   FAILED_PRECONDITION a newer release's tables, another program's, a server that is too old; no folder for the file;
//                       a file that another coordinator has                                                 no
//   DATA_LOSS           damage                                                                              no
//   INTERNAL, others    not known, so it is better seen at once                                             no
bool MendedByWaiting(const absl::Status& opening);

// The board of the store of that name, once it is open; null where that can have one coordinator only.
std::unique_ptr<OriginBoard> OpenOriginBoard(absl::string_view name, const Clock& clock);

// `name` as people may see it: without a password.
std::string ShownStore(absl::string_view name);

}  // namespace imgfleet::store
