#include "tests/hostile/case.h"

#include <iterator>
#include <memory>
#include <mutex>
#include <utility>

namespace imgfleet::hostile {

namespace {

std::vector<Case> Join() {
  std::vector<Case> all;
  for (auto* family :
       {&TimingCases, &LengthCases, &ChunkCases, &EncodingCases, &RedirectCases, &HeadCases, &StatusCases,
        &ResetCases, &TlsCases, &RetryCases, &BodyCases, &RangeCases, &ReuseCases, &Http2Cases}) {
    std::vector<Case> cases = family();
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace

const std::vector<Case>& AllCases() {
  static const auto* all = new std::vector<Case>(Join());
  return *all;
}

Conversation Answers(std::string bytes, After after) {
  return [bytes = std::move(bytes), after](Peer& peer) {
    while (peer.Read() && peer.Send(bytes)) {
      if (after == After::kKeep) continue;
      if (after == After::kReset) peer.Reset();
      if (after == After::kHang) peer.Hang();
      return;
    }
  };
}

Conversation AnswersDear(std::function<std::string()> make) {
  struct Once {
    std::once_flag flag;
    std::string bytes;
  };
  return [make = std::move(make), once = std::make_shared<Once>()](Peer& peer) {
    std::call_once(once->flag, [&] { once->bytes = make(); });
    while (peer.Read() && peer.Send(once->bytes)) continue;
  };
}

Conversation Replies(std::function<std::string(const Request&, Peer&)> reply) {
  return [reply = std::move(reply)](Peer& peer) {
    while (const std::optional<Request> request = peer.Read()) {
      if (!peer.Send(reply(*request, peer))) return;
    }
  };
}

Conversation Floods(std::string head, std::string unit) {
  return [head = std::move(head), unit = std::move(unit)](Peer& peer) {
    if (peer.Read() && peer.Send(head)) peer.SendForEver(unit);
  };
}

Conversation FloodsTooMuch(std::string head, std::string unit) {
  return [head = std::move(head), unit = std::move(unit)](Peer& peer) {
    if (peer.Read() && peer.Send(head)) peer.SendMuch(unit, 256 << 20);
  };
}

Conversation Drips(std::string head, std::string unit) {
  return [head = std::move(head), unit = std::move(unit)](Peer& peer) {
    if (peer.Read() && peer.Send(head)) peer.DripForEver(unit);
  };
}

}  // namespace imgfleet::hostile
