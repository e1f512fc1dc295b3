#include "worker/fetch/hosts_file.h"

#include <sys/stat.h>

#include <fstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

namespace imgfleet::fetch {
namespace {

constexpr absl::Duration kLookEvery = absl::Seconds(1);

}  // namespace

const std::vector<IpAddress>* HostsFile::Find(absl::string_view host, absl::Time now) {
  if (now >= look_again_) Refresh(now);
  if (hosts_.empty()) return nullptr;
  const auto found = hosts_.find(host);
  return found == hosts_.end() ? nullptr : &found->second;
}

void HostsFile::Refresh(absl::Time now) {
  look_again_ = now + kLookEvery;
  struct stat status;
  Version version;
  if (stat(path_.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
    version = {status.st_mtim.tv_sec, status.st_mtim.tv_nsec, status.st_size, status.st_ino};
  }
  if (version == version_) return;
  version_ = version;
  hosts_.clear();
  if (version.bytes > 0) Read();
}

void HostsFile::Read() {
  std::ifstream file(path_, std::ios::binary);
  std::string line;
  for (size_t bytes = 0; std::getline(file, line) && (bytes += line.size() + 1) <= kMaxBytes;) AddLine(line);
}

// ADDRESS NAME [NAME...] [# comment]. A name that stands in several lines has all their addresses.
void HostsFile::AddLine(absl::string_view line) {
  line = line.substr(0, line.find('#'));
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  if (words.size() < 2) return;
  const absl::StatusOr<IpAddress> address = IpAddress::Parse(words[0]);
  if (!address.ok()) return;
  for (size_t i = 1; i < words.size(); ++i) hosts_[absl::AsciiStrToLower(words[i])].push_back(*address);
}

}  // namespace imgfleet::fetch
