// The files of gateway/web, embedded by the build.
#pragma once

namespace imgfleet::gateway {

extern const char kIndexHtml[];
extern const char kPageCss[];
extern const char kPageJs[];

}  // namespace imgfleet::gateway
