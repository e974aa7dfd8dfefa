// The words of the console. In: a key. Out: the text in the chosen language (English or Korean).

const en = {
  infra: "MCIS", chooseInfra: "Choose an MCIS", noInfra: "No MCIS yet",
  noInfraHint: "As soon as one is created it appears here by itself.",
  live: "live", connecting: "connecting", reconnecting: "reconnecting", banner: "The server is away. Reconnecting…",
  paused: "paused", theme: "Light or dark", language: "한국어로", map: "World map", zoomIn: "Zoom in", zoomOut: "Zoom out",
  zoomFit: "Show all", legend: "Legend", vms: "VMs", search: "Search name, region, provider, state…", state: "State", name: "Name",
  agent: "Agent", region: "Region", provider: "Provider", spec: "Spec", price: "$/h", address: "Address", cpu: "CPU",
  mem: "Memory", load: "Load (1 min)", net: "Network", disk: "Disk I/O", in: "in", out: "out", read: "read", write: "write",
  suspend: "Suspend", resume: "Resume", reboot: "Reboot", terminate: "Terminate", retry: "Retry failed", rollback: "Roll back",
  delete: "Delete", needRunning: "No VM is Running.", needSuspended: "No VM is Suspended.", needAlive: "Everything is terminated already.",
  needFailed: "No VM has failed.", needEnded: "Only when every VM is Terminated or Failed.",
  vmNeedRunning: "The VM is not Running.", vmNeedSuspended: "The VM is not Suspended.", vmNeedAlive: "The VM is terminated already.",
  vmNeedEnded: "Only a Terminated or Failed VM can be deleted.", confirm: "Yes, {what}", cancel: "Cancel",
  askInfra: "{what} {name}?", askInfraText: "This concerns {n} VMs in {r} regions.", askVm: "{what} VM {name}?",
  askFinal: "What is on the disks is lost. This cannot be undone.", askVmText: "It runs in {region} at {provider}.",
  of: "{n} of {m}", failedCount: "{n} failed", done: "done", partial: "partly done", failed: "failed", close: "Close",
  alarms: "Alarms", noAlarms: "All quiet.", firing: "firing", pending: "pending", resolved: "resolved", since: "since {t}",
  thresholds: "Thresholds", noThresholds: "No thresholds are set.", threshold: "Condition", for: "for {s} s", nodata: "no data for {s} s",
  perVm: "each VM", wholeInfra: "whole MCIS", severity: "Severity", recovers: "recovers at {v}",
  events: "Events", filter: "Filter…", pause: "Pause", go: "Continue", newEvents: "{n} new", noEvents: "Nothing has happened yet.",
  charts: "Measurements", all: "All {n} VMs", each: "one line per VM", band: "lowest, average, highest", avg: "avg", max: "max",
  range: "Span", m5: "5 min", m15: "15 min", h1: "1 h", noSamples: "No samples yet.", history: "History could not be read: {e}",
  zone: "Zone", image: "Image", user: "User", cloudId: "Cloud id", privateAddress: "Private address", connection: "Connection",
  goal: "Goal", error: "Error", started: "Started", labels: "Labels", page: "{a}–{b} of {n}",
  prev: "Previous page", next: "Next page", noMatch: "No VM matches.", showVm: "Show charts of all VMs",
  signedOut: "You are signed out", signedOutText: "This link was used already, or the session ended. Get a new one-time link on the server:",
  signedOutOr: "or restart the daemon: it prints one at start.", alarmsBadge: "{n} alarms firing", skip: "Skip to the VM list",
  perHour: "{p} per hour", agentsUp: "{n} of {m} agents up", details: "Details", group: "{n} VMs in {place}",
};

const ko = {
  infra: "MCIS", chooseInfra: "MCIS 선택", noInfra: "MCIS가 없습니다",
  noInfraHint: "만들면 여기에 바로 나타납니다.",
  live: "실시간", connecting: "연결 중", reconnecting: "재연결 중", banner: "서버에 연결할 수 없습니다. 재연결 중…",
  paused: "일시 중지", theme: "밝게 또는 어둡게", language: "English", map: "세계 지도", zoomIn: "확대", zoomOut: "축소",
  zoomFit: "전체 보기", legend: "범례", vms: "VM", search: "이름, 리전, 제공자, 상태 검색…", state: "상태", name: "이름",
  agent: "에이전트", region: "리전", provider: "제공자", spec: "사양", price: "$/시간", address: "주소", cpu: "CPU",
  mem: "메모리", load: "부하 (1분)", net: "네트워크", disk: "디스크 I/O", in: "수신", out: "송신", read: "읽기", write: "쓰기",
  suspend: "일시 정지", resume: "재개", reboot: "재시작", terminate: "종료", retry: "실패 재시도", rollback: "되돌리기",
  delete: "삭제", needRunning: "실행 중인 VM이 없습니다.", needSuspended: "정지된 VM이 없습니다.", needAlive: "이미 모두 종료되었습니다.",
  needFailed: "실패한 VM이 없습니다.", needEnded: "모든 VM이 Terminated 또는 Failed일 때만 가능합니다.",
  vmNeedRunning: "VM이 실행 중이 아닙니다.", vmNeedSuspended: "VM이 정지 상태가 아닙니다.", vmNeedAlive: "이미 종료된 VM입니다.",
  vmNeedEnded: "Terminated 또는 Failed인 VM만 삭제할 수 있습니다.", confirm: "예, {what}", cancel: "취소",
  askInfra: "{name}: {what}?", askInfraText: "{r}개 리전의 VM {n}개에 적용됩니다.", askVm: "VM {name}: {what}?",
  askFinal: "디스크의 내용이 사라지며 되돌릴 수 없습니다.", askVmText: "{provider} {region}에서 실행됩니다.",
  of: "{m} 중 {n}", failedCount: "실패 {n}", done: "완료", partial: "일부 완료", failed: "실패", close: "닫기",
  alarms: "알람", noAlarms: "알람이 없습니다.", firing: "발생", pending: "대기", resolved: "해제", since: "{t}부터",
  thresholds: "임계값", noThresholds: "설정된 임계값이 없습니다.", threshold: "조건", for: "{s}초 동안", nodata: "{s}초 동안 데이터 없음",
  perVm: "각 VM", wholeInfra: "MCIS 전체", severity: "심각도", recovers: "해제 기준 {v}",
  events: "이벤트", filter: "필터…", pause: "멈춤", go: "계속", newEvents: "새 이벤트 {n}", noEvents: "아직 이벤트가 없습니다.",
  charts: "측정값", all: "VM {n}개 전체", each: "VM마다 한 줄", band: "최저, 평균, 최고", avg: "평균", max: "최대",
  range: "기간", m5: "5분", m15: "15분", h1: "1시간", noSamples: "아직 측정값이 없습니다.", history: "이력을 읽을 수 없습니다: {e}",
  zone: "존", image: "이미지", user: "사용자", cloudId: "클라우드 ID", privateAddress: "사설 주소", connection: "연결",
  goal: "목표", error: "오류", started: "시작", labels: "레이블", page: "{n} 중 {a}–{b}",
  prev: "이전 쪽", next: "다음 쪽", noMatch: "일치하는 VM이 없습니다.", showVm: "모든 VM의 차트 보기",
  signedOut: "로그아웃되었습니다", signedOutText: "이미 사용한 링크이거나 세션이 끝났습니다. 서버에서 새 일회용 링크를 받으십시오:",
  signedOutOr: "또는 데몬을 다시 시작하면 링크가 출력됩니다.", alarmsBadge: "발생 중인 알람 {n}", skip: "VM 목록으로 건너뛰기",
  perHour: "시간당 {p}", agentsUp: "에이전트 {m} 중 {n}", details: "상세", group: "{place}의 VM {n}개",
};

const stored = localStorage.getItem("mcisd.language");
export const language = ["en", "ko"].includes(stored) ? stored : navigator.language.startsWith("ko") ? "ko" : "en";
const words = language === "ko" ? ko : en;

/** The text of `key` with `{name}` places filled from `values`. */
export const t = (key, values = {}) =>
  (words[key] ?? en[key] ?? key).replace(/\{(\w+)\}/g, (place, name) => (name in values ? values[name] : place));

/** Put the language into the static part of the page. */
export function applyLanguage(root = document) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-t]")) node.textContent = t(node.dataset.t);
  for (const node of root.querySelectorAll("[data-t-label]")) {
    node.setAttribute("aria-label", t(node.dataset.tLabel));
    if (node.tagName === "BUTTON") node.title = t(node.dataset.tLabel);
  }
  for (const node of root.querySelectorAll("[data-t-placeholder]")) node.placeholder = t(node.dataset.tPlaceholder);
}

export function toggleLanguage() {
  localStorage.setItem("mcisd.language", language === "ko" ? "en" : "ko");
  location.reload();
}
