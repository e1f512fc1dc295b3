// What this release is called, in --version, logs, metrics and the default User-Agent.
#pragma once

namespace imgfleet {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace imgfleet
