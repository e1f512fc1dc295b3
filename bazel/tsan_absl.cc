// ThreadSanitizer only. Debian's libabsl/libgrpc are not instrumented, so TSan cannot see the happens-before edges of
// absl::Mutex. Interpose the public entry points and annotate them.
//
// Conditions (Await, LockWhen) are evaluated by whoever unlocks, under the lock but inside the library, after this file
// has told TSan that the lock is free: reads made there are not looked at.
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>

extern "C" {
void __tsan_acquire(void*);
void __tsan_release(void*);
void AnnotateIgnoreReadsBegin(const char* file, int line);
void AnnotateIgnoreReadsEnd(const char* file, int line);
}

namespace {

// The library's own function of this mangled name.
template <typename Function>
Function Next(const char* symbol) {
  void* found = dlsym(RTLD_NEXT, symbol);
  if (found == nullptr) {
    std::fprintf(stderr, "tsan_absl: %s is in no library; absl has changed\n", symbol);
    std::abort();
  }
  return reinterpret_cast<Function>(found);
}

// While the library may evaluate conditions.
class IgnoreReads {
 public:
  IgnoreReads() { AnnotateIgnoreReadsBegin(__FILE__, __LINE__); }
  ~IgnoreReads() { AnnotateIgnoreReadsEnd(__FILE__, __LINE__); }
};

}  // namespace

#define NEXT(type, s) static const auto real = Next<type>("_ZN4absl7debian3" s)
#define CONDITION "RKNS0_9ConditionE"
#define DURATION "NS0_8DurationE"
#define TIME "NS0_4TimeE"

namespace absl {
ABSL_NAMESPACE_BEGIN
namespace {

using Fn = void (*)(Mutex*);
using TryFn = bool (*)(Mutex*);
using WhenFn = void (*)(Mutex*, const Condition&);
using WhenDurFn = bool (*)(Mutex*, const Condition&, Duration);
using WhenTimeFn = bool (*)(Mutex*, const Condition&, Time);
using WaitFn = void (*)(CondVar*, Mutex*);
using WaitDurFn = bool (*)(CondVar*, Mutex*, Duration);
using WaitTimeFn = bool (*)(CondVar*, Mutex*, Time);

// A call that comes back with the lock. `held`: it goes in with the lock as well, and lets go of it meanwhile.
template <typename Call>
auto Taking(Mutex* mutex, bool held, Call call) {
  struct Acquire {
    Mutex* mutex;
    ~Acquire() { __tsan_acquire(mutex); }
  } acquire{mutex};
  if (held) __tsan_release(mutex);
  const IgnoreReads ignore;
  return call();
}

}  // namespace

void Mutex::Lock() {
  NEXT(Fn, "5Mutex4LockEv");
  real(this);
  __tsan_acquire(this);
}
void Mutex::Unlock() {
  NEXT(Fn, "5Mutex6UnlockEv");
  __tsan_release(this);
  const IgnoreReads ignore;
  real(this);
}
bool Mutex::TryLock() {
  NEXT(TryFn, "5Mutex7TryLockEv");
  const bool taken = real(this);
  if (taken) __tsan_acquire(this);
  return taken;
}
void Mutex::ReaderLock() {
  NEXT(Fn, "5Mutex10ReaderLockEv");
  real(this);
  __tsan_acquire(this);
}
void Mutex::ReaderUnlock() {
  NEXT(Fn, "5Mutex12ReaderUnlockEv");
  __tsan_release(this);
  const IgnoreReads ignore;
  real(this);
}
bool Mutex::ReaderTryLock() {
  NEXT(TryFn, "5Mutex13ReaderTryLockEv");
  const bool taken = real(this);
  if (taken) __tsan_acquire(this);
  return taken;
}

void Mutex::Await(const Condition& c) {
  NEXT(WhenFn, "5Mutex5AwaitE" CONDITION);
  Taking(this, true, [&] { real(this, c); });
}
bool Mutex::AwaitWithTimeout(const Condition& c, Duration d) {
  NEXT(WhenDurFn, "5Mutex16AwaitWithTimeoutE" CONDITION DURATION);
  return Taking(this, true, [&] { return real(this, c, d); });
}
bool Mutex::AwaitWithDeadline(const Condition& c, Time t) {
  NEXT(WhenTimeFn, "5Mutex17AwaitWithDeadlineE" CONDITION TIME);
  return Taking(this, true, [&] { return real(this, c, t); });
}
void Mutex::LockWhen(const Condition& c) {
  NEXT(WhenFn, "5Mutex8LockWhenE" CONDITION);
  Taking(this, false, [&] { real(this, c); });
}
bool Mutex::LockWhenWithTimeout(const Condition& c, Duration d) {
  NEXT(WhenDurFn, "5Mutex19LockWhenWithTimeoutE" CONDITION DURATION);
  return Taking(this, false, [&] { return real(this, c, d); });
}
bool Mutex::LockWhenWithDeadline(const Condition& c, Time t) {
  NEXT(WhenTimeFn, "5Mutex20LockWhenWithDeadlineE" CONDITION TIME);
  return Taking(this, false, [&] { return real(this, c, t); });
}
void Mutex::ReaderLockWhen(const Condition& c) {
  NEXT(WhenFn, "5Mutex14ReaderLockWhenE" CONDITION);
  Taking(this, false, [&] { real(this, c); });
}
bool Mutex::ReaderLockWhenWithTimeout(const Condition& c, Duration d) {
  NEXT(WhenDurFn, "5Mutex25ReaderLockWhenWithTimeoutE" CONDITION DURATION);
  return Taking(this, false, [&] { return real(this, c, d); });
}
bool Mutex::ReaderLockWhenWithDeadline(const Condition& c, Time t) {
  NEXT(WhenTimeFn, "5Mutex26ReaderLockWhenWithDeadlineE" CONDITION TIME);
  return Taking(this, false, [&] { return real(this, c, t); });
}

void CondVar::Wait(Mutex* m) {
  NEXT(WaitFn, "7CondVar4WaitEPNS0_5MutexE");
  Taking(m, true, [&] { real(this, m); });
}
bool CondVar::WaitWithTimeout(Mutex* m, Duration d) {
  NEXT(WaitDurFn, "7CondVar15WaitWithTimeoutEPNS0_5MutexENS0_8DurationE");
  return Taking(m, true, [&] { return real(this, m, d); });
}
bool CondVar::WaitWithDeadline(Mutex* m, Time t) {
  NEXT(WaitTimeFn, "7CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE");
  return Taking(m, true, [&] { return real(this, m, t); });
}

ABSL_NAMESPACE_END
}  // namespace absl

extern "C" const char* __tsan_default_options() {
  return "ignore_noninstrumented_modules=1:second_deadlock_stack=1";
}
extern "C" const char* __tsan_default_suppressions() {
  // gRPC ends its own threads after the last channel is gone, perhaps after main.
  return "thread:libgpr.so\n"
         "called_from_lib:libgrpc.so\n"
         "called_from_lib:libgrpc++.so\n"
         "called_from_lib:libgpr.so\n"
         "called_from_lib:libprotobuf.so\n"
         "race_top:/usr/include/grpcpp/\n"
         "race_top:/usr/include/google/protobuf/\n"
         "race_top:^grpc::\n"
         "race_top:^google::protobuf::\n"
         "race:grpc::internal::CallOp\n"
         "race:grpc::internal::InterceptorBatchMethodsImpl\n"
         "race_top:^std::function<\n"
         "race_top:^std::_Function_base\n"
         "race:grpc::internal::ServerCallbackCall::\n"
         "race_top:^std::__atomic_base<\n";
}
