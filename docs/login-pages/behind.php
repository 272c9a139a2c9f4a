<?php // LOGIN_PAGE_KEY=… php -S 127.0.0.1:9001 behind.php
// A login page without a form: whoever stands in front of it has found out who is there, and says so.
// WHO names what says it: HTTP_X_FORWARDED_EMAIL behind oauth2-proxy, OIDC_CLAIM_email or REMOTE_USER in Apache.
// Nobody must be able to reach this page in another way.
function refuse(int $status, string $why): never {
    http_response_code($status);
    header('Content-Type: text/plain; charset=utf-8');
    exit($why);
}
foreach (array_keys(getallheaders()) as $name) {
    // PHP takes X_Forwarded_Email for X-Forwarded-Email, and not everything in front does.
    if (str_contains($name, '_')) refuse(400, 'No header of this site has an underscore in its name.');
}
$email = $_SERVER[getenv('WHO') ?: 'HTTP_X_FORWARDED_EMAIL'] ?? '';
if ($email === '') refuse(403, 'It is not known who you are.');
// Whoever is sent back at once with a token that did not work goes in circles.
if (isset($_GET['error'])) refuse(403, 'Signing in did not work. Go back to the page that you came from.');
$groups = $_SERVER[getenv('GROUPS') ?: 'HTTP_X_FORWARDED_GROUPS'] ?? '';
$order = ['email' => $email, 'full_name' => $_SERVER[getenv('NAME') ?: 'HTTP_X_FORWARDED_PREFERRED_USERNAME'] ?? $email,
          'groups' => $groups === '' ? [] : explode(',', $groups),
          'return_url' => $_GET['return_url'] ?? null, 'state' => $_GET['state'] ?? null];
$headers = ['Authorization: Bearer ' . getenv('LOGIN_PAGE_KEY'), 'Content-Type: application/json'];
$call = ['method' => 'POST', 'header' => $headers, 'content' => json_encode($order), 'ignore_errors' => true];
$url = (getenv('TOLLGATE_CONTROL') ?: 'http://127.0.0.1:8081') . '/v1/sso_tokens';
$answer = @file_get_contents($url, false, stream_context_create(['http' => $call]));
$redeem_url = json_decode((string) $answer)->redeem_url ?? null;
if ($redeem_url === null) {
    error_log($answer ?: 'the control API does not answer');
    refuse(500, 'Signing in did not work.');
}
header('Cache-Control: no-store');
header('Location: ' . $redeem_url, true, 302);
