// imgfleet-decoder: decodes images for a worker, locked in. Started by decoder/client.h, which is the other end of its
// standard input, a socket; the protocol is decoder/protocol.h.
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "common/version.h"
#include "decoder/codec.h"
#include "decoder/sandbox.h"
#include "decoder/server.h"

namespace imgfleet::decoder {
namespace {

constexpr int kNoSandbox = 4, kNoRequest = 5, kUsage = 2;

bool IsSocket(int fd) {
  int type;
  socklen_t size = sizeof(type);
  return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_STREAM;
}

// Where a container runs out of memory, its decoder goes before its worker. Where that cannot be asked for, nothing is
// lost but that.
void OfferToTheOomKiller() {
  FILE* const file = fopen("/proc/self/oom_score_adj", "we");
  if (file == nullptr) return;
  fputs("1000", file);
  fclose(file);
}

int Main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--version") {
    printf("imgfleet-decoder %s\n", kVersion);
    return 0;
  }
  if (argc > 1 || !IsSocket(kChannel)) {
    fprintf(stderr,
            "imgfleet-decoder decodes images for imgfleet-worker, which starts it; it has no use by hand\n");
    return kUsage;
  }
  // Nobody waits for the process if its worker is gone.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  environ = nullptr;
  OfferToTheOomKiller();
  WarmUp();
  const absl::Status locked = LockIn(SandboxLimits());
  Answer hello;
  hello.status = locked.ok() ? AnswerStatus::kOk : AnswerStatus::kRefused;
  hello.text = std::string(locked.message());
  if (!Write(kChannel, hello)) return kNoRequest;
  if (!locked.ok()) return kNoSandbox;
  // _exit: nothing is to be tidied up, and what tidies up may want more than is allowed.
  _exit(Serve(kChannel, ServerLimits()) ? 0 : kNoRequest);
}

}  // namespace
}  // namespace imgfleet::decoder

int main(int argc, char** argv) { return imgfleet::decoder::Main(argc, argv); }
