local({
  former <- getOption("soulbox.former")
  put <- function(name, value) {
    if (is.na(value)) Sys.unsetenv(name) else do.call(Sys.setenv, stats::setNames(list(value), name))
  }
  for (name in names(former)) put(name, former[[name]])
  path <- "/proc/self/fd/201"
  bytes <- readBin(path, "raw", file.size(path))
  ends <- which(bytes == as.raw(0L))
  texts <- mapply(function(from, to) if (to < from) "" else rawToChar(bytes[from:to]), c(1L, ends + 1L)[seq_along(ends)], ends - 1L)
  names <- texts[seq_along(texts) %% 2L == 1L]
  values <- texts[seq_along(texts) %% 2L == 0L]
  options(soulbox.former = lapply(stats::setNames(names, names), Sys.getenv, unset = NA_character_))
  for (i in seq_along(names)) put(names[[i]], values[[i]])
  invisible(NULL)
})
